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

        // The conversation goes on; only what is new is computed.
        let second = try await session.respond(to: "What is 7 * 8?", maxTokens: 100).text()
        print(second)

        // Errors say what is wrong and what to do.
        do {
            _ = try await Model.load("no such model.tsr")
        } catch {
            print("refused:", error)
        }
    }
}
