import Tessera

/// A program that talks with a model: `Example MODEL.tsr QUESTION`.
@main struct Main {
    static func main() async throws {
        guard CommandLine.arguments.count == 3 else {
            print("usage: Example MODEL.tsr QUESTION")
            return
        }
        let model = try await Model.load(CommandLine.arguments[1])
        let session = try Session(model, sampling: .greedy)
        let answer = session.respond(to: CommandLine.arguments[2])
        for try await token in answer { print(token.text, terminator: "") }
        print()

        // Another conversation with the same model.
        let other = try Session(model, sampling: .greedy)
        print(try await other.respond(to: "What is 7 * 8?", maxTokens: 100).text())

        // Errors say what is wrong and what to do.
        do {
            _ = try await Model.load("no such model.tsr")
        } catch {
            print("refused:", error)
        }
    }
}
