import Tessera

/// Answers questions from standard input: `Chat MODEL.tsr`.
@main struct Chat {
    static func main() async throws {
        let model = try await Model.load(CommandLine.arguments[1])
        print("\(model.name), \(model.contextLength) positions")

        let session = try Session(model)
        while let line = readLine() {
            do {
                if line.isEmpty {
                    if let question = try session.undo() { print("forgotten: \(question)") }
                    continue
                }
                let answer = session.respond(to: line)
                for try await token in answer { print(token.text, terminator: "") }
                print()
                if let summary = answer.summary {
                    print("(\(summary.tokens) tokens in \(summary.passes) passes)")
                }
            } catch {
                print("error: \(error)")
            }
        }
    }
}
