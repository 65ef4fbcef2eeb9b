import Tessera

/// Answers questions from standard input: `Chat MODEL.tsr`.
@main struct Chat {
    static func main() async throws {
        let model = try await Model.load(CommandLine.arguments[1])
        print("\(model.name), \(model.contextLength) positions")

        let session = try Session(model)
        let answer = session.respond(to: "What is 7 * 8?")
        for try await token in answer { print(token.text, terminator: "") }
        print()
    }
}
