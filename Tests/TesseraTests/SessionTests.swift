import Foundation
import TestSupport
import Tessera
import Testing

/// The library, with the model that comes with the program.
@Suite(.timeLimit(.minutes(30))) struct SessionTests {
    private static let question =
        "Maria has 66 cookies. She buys 8 more. How many cookies does Maria have now?"
    private static let other = "Tom has 12 apples. He eats 5. How many apples does Tom have now?"

    private static func model(
        _ change: (inout Model.Options) -> Void = { _ in }
    ) async throws -> Model {
        var options = Model.Options()
        options.threads = 1
        change(&options)
        return try await Model.load(Models.standard, options: options)
    }

    @Test func aQuestionIsAnswered() async throws {
        let model = try await Self.model()
        #expect(!model.name.isEmpty && model.contextLength > 0)
        let session = try await Session(model, sampling: .greedy)
        let answer = session.respond(to: Self.question)
        var text = ""
        for try await token in answer {
            #expect(token.id >= 0 && token.logProbability <= 0)
            text += token.text
        }
        #expect(text.contains("74"))
        #expect(answer.end == .endOfText)
        #expect(
            await session.messages == [
                Message(role: "user", content: Self.question),
                Message(role: "assistant", content: text),
            ])
    }

    @Test func answersInCommonPassesAreThoseOfEachAlone() async throws {
        let model = try await Self.model { $0.sessions = 3 }
        var alone: [String] = []
        for question in [Self.question, Self.other] {
            let session = try await Session(model, sampling: .greedy)
            alone.append(try await session.respond(to: question).text())
        }
        let (first, second) = (
            try await Session(model, sampling: .greedy), try await Session(model, sampling: .greedy)
        )
        async let one = first.respond(to: Self.question).text()
        async let two = second.respond(to: Self.other).text()
        #expect(try await [one, two] == alone)
    }

    @Test func seedsDecideWhatIsDrawn() async throws {
        let model = try await Self.model { $0.sessions = 2 }
        var answers: [String] = []
        for _ in 0..<2 {
            let session = try await Session(model, sampling: Sampling(temperature: 1.5, seed: 7))
            answers.append(try await session.respond(to: Self.question, maxTokens: 40).text())
        }
        #expect(answers[0] == answers[1])
    }

    @Test func anAnswerEndsWhereItsReaderStops() async throws {
        let model = try await Self.model()
        let session = try await Session(model, sampling: .greedy)
        var answer: Answer? = session.respond(to: Self.question)
        for try await _ in answer! { break }
        answer = nil
        // The engine notices between two passes, and then the next question is taken.
        var text: String?
        while text == nil {
            do {
                text = try await session.respond(to: Self.other, maxTokens: 60).text()
            } catch let error as ModelError where error.reason == .busy {
                await Task.yield()
            }
        }
        #expect(await session.messages.count == 4)
    }

    @Test func aCancelledTaskEndsItsAnswer() async throws {
        let session = try await Session(try await Self.model(), sampling: .greedy)
        let task = Task { try await session.respond(to: Self.question).text() }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test func oneAnswerAtATime() async throws {
        let session = try await Session(try await Self.model(), sampling: .greedy)
        let first = session.respond(to: Self.question)
        var iterator = first.makeAsyncIterator()
        _ = try await iterator.next()
        // The first answer may be complete by now, but its question was asked before.
        do {
            _ = try await session.respond(to: Self.other).text()
        } catch let error as ModelError {
            #expect(error.reason == .busy)
        }
        while try await iterator.next() != nil {}
        #expect(first.end == .endOfText)
    }

    @Test func whatWasSaidIsTakenBack() async throws {
        let session = try await Session(
            try await Self.model(), system: "Count.", sampling: .greedy)
        _ = try await session.respond(to: Self.question).text()
        #expect(try await session.undo() == Self.question)
        #expect(await session.messages == [Message(role: "system", content: "Count.")])
        #expect(try await session.undo() == nil)
        let again = try await session.respond(to: Self.question).text()
        #expect(again.contains("74"))
        try await session.reset()
        #expect(await session.messages.map(\.role) == ["system"])
    }

    @Test func textsAreContinuedAndEndWhereTheyAreToldTo() async throws {
        let model = try await Self.model { $0.sessions = 2 }
        let whole = model.complete(Self.question, maxTokens: 12)
        let text = try await whole.text()
        #expect(whole.end == .length || whole.end == .endOfText)
        let stop = String(text.dropFirst(text.count / 2).prefix(2))
        let cut = model.complete(Self.question, maxTokens: 12, stop: [stop])
        let beginning = try await cut.text()
        #expect(cut.end == .stopString)
        #expect(!beginning.contains(stop) && text.hasPrefix(beginning))
    }

    @Test func whatCannotBeDoneIsSaid() async throws {
        func reason(_ work: () async throws -> Void) async -> ModelError.Reason? {
            do {
                try await work()
                return nil
            } catch {
                let error = error as? ModelError
                #expect(error?.description.isEmpty == false)
                return error?.reason
            }
        }
        let folder = try TemporaryFolder()
        #expect(await reason { _ = try await Model.load(folder.file("none.tsr")) } == .unreadable)
        let damaged = try folder.write("no model", to: "damaged.tsr")
        #expect(await reason { _ = try await Model.load(damaged) } == .damaged)
        for change: (inout Model.Options) -> Void in [
            { $0.sessions = 0 }, { $0.threads = 0 }, { $0.memory = 0 }, { $0.contextLength = 7 },
            { $0.contextLength = 100_000 },
        ] {
            #expect(await reason { _ = try await Self.model(change) } == .badOption)
        }
        let model = try await Self.model { $0.contextLength = 64 }
        #expect(
            await reason { _ = try await Session(model, sampling: Sampling(topP: 2)) }
                == .badOption)
        let session = try await Session(model)
        let long = String(repeating: "one two three four ", count: 40)
        #expect(await reason { _ = try await session.respond(to: long).text() } == .tooLong)
        #expect(await session.messages.isEmpty)
        #expect(await reason { _ = try await model.complete(long).text() } == .tooLong)
    }
}
