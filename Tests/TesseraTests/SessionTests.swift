import Foundation
import TesseraTestSupport
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
        let session = try Session(model, sampling: .greedy)
        let answer = session.respond(to: Self.question)
        var text = ""
        for try await token in answer {
            #expect(token.id >= 0 && token.logProbability <= 0)
            text += token.text
        }
        #expect(text.contains("74"))
        #expect(answer.summary?.end == .endOfText)
        #expect(
            session.messages == [
                Message(role: "user", content: Self.question),
                Message(role: "assistant", content: text),
            ])
    }

    @Test func answersInCommonPassesAreThoseOfEachAlone() async throws {
        let model = try await Self.model { $0.answers = 3 }
        var alone: [String] = []
        for question in [Self.question, Self.other] {
            let session = try Session(model, sampling: .greedy)
            alone.append(try await session.respond(to: question).text())
        }
        let first = try Session(model, sampling: .greedy)
        let second = try Session(model, sampling: .greedy)
        async let one = first.respond(to: Self.question).text()
        async let two = second.respond(to: Self.other).text()
        #expect(try await [one, two] == alone)
    }

    @Test func draftsChangeThePassesAndNotTheText() async throws {
        var texts: Set<String> = []
        for drafts in [Model.Options.Drafts.off, .lookup, .auto, .model(Models.standard)] {
            let model = try await Self.model { $0.drafts = drafts }
            let answer = try Session(model, sampling: .greedy).respond(to: Self.question)
            texts.insert(try await answer.text())
            let summary = try #require(answer.summary)
            switch drafts {
            case .off: #expect(summary.passes == summary.tokens)
            case .lookup, .auto: #expect(summary.draftedTokens > 0)
            case .model: break  // a draft of a model as slow as this one need not pay
            }
        }
        #expect(texts.count == 1)
    }

    @Test func moreSessionsThanPlacesTakeTurns() async throws {
        let model = try await Self.model { $0.answers = 2 }
        let sessions = try (0..<5).map { _ in try Session(model, sampling: .greedy) }
        let texts = try await withThrowingTaskGroup(of: String.self) { group in
            for session in sessions {
                group.addTask { try await session.respond(to: Self.other).text() }
            }
            return try await group.reduce(into: [String]()) { $0.append($1) }
        }
        #expect(Set(texts).count == 1 && texts.count == 5)
    }

    @Test func aBeginningThatSeveralShareIsComputedOnce() async throws {
        let model = try await Self.model { $0.answers = 4 }
        let rules = (1...40).map { "Rule \($0): be brief." }.joined(separator: " ")
        let answers = try (1...4).map { number in
            try Session(model, sampling: .greedy).respond(
                to: rules + " What is \(number) and 3?", maxTokens: 4)
        }
        for answer in answers { _ = try await answer.text() }
        let cached = try answers.map { try #require($0.summary).cachedTokens }.sorted()
        #expect(cached[0] == 0 && cached[1] > 200, "\(cached)")
    }

    @Test func aDraftModelThatDoesNotFitIsRefused() async throws {
        let other = FileManager.default.temporaryDirectory
            .appending(path: "tessera-\(UUID().uuidString).tsr").path
        await #expect(throws: ModelError.self) {
            try await Self.model { $0.drafts = .model(other) }
        }
    }

    @Test func whatACacheHoldsIsNotComputedAgain() async throws {
        let model = try await Self.model { $0.answers = 2 }
        let session = try Session(model, sampling: .greedy)
        let first = session.respond(to: Self.question)
        _ = try await first.text()
        #expect(first.summary?.cachedTokens == 0)
        let second = session.respond(to: Self.other)
        let text = try await second.text()
        let cached = try #require(second.summary?.cachedTokens)
        #expect(cached >= first.summary!.promptTokens && cached < second.summary!.promptTokens)

        // Another session with the same questions copies what that one has computed, and says the same.
        let again = try Session(model, sampling: .greedy)
        let copied = again.respond(to: Self.question)
        _ = try await copied.text()
        #expect(copied.summary?.cachedTokens == copied.summary!.promptTokens - 1)
        #expect(try await again.respond(to: Self.other).text() == text)
    }

    @Test func seedsDecideWhatIsDrawn() async throws {
        let model = try await Self.model { $0.answers = 2 }
        var answers: [String] = []
        for _ in 0..<2 {
            let session = try Session(model, sampling: Sampling(temperature: 1.5, seed: 7))
            answers.append(try await session.respond(to: Self.question, maxTokens: 40).text())
        }
        #expect(answers[0] == answers[1])
    }

    @Test func anAnswerEndsWhereItsReaderStops() async throws {
        let model = try await Self.model()
        let session = try Session(model, sampling: .greedy)
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
        #expect(session.messages.count == 4)
    }

    @Test func aCancelledTaskEndsItsAnswer() async throws {
        let session = try Session(try await Self.model(), sampling: .greedy)
        let task = Task { try await session.respond(to: Self.question).text() }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test func oneAnswerAtATime() async throws {
        let session = try Session(try await Self.model(), sampling: .greedy)
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
        #expect(first.summary?.end == .endOfText)
    }

    @Test func whatWasSaidIsTakenBack() async throws {
        let session = try Session(
            try await Self.model(), system: "Count.", sampling: .greedy)
        _ = try await session.respond(to: Self.question).text()
        #expect(try session.undo() == Self.question)
        #expect(session.messages == [Message(role: "system", content: "Count.")])
        #expect(try session.undo() == nil)
        let again = try await session.respond(to: Self.question).text()
        #expect(again.contains("74"))
        try session.reset()
        #expect(session.messages.map(\.role) == ["system"])
    }

    @Test func textsAreContinuedAndEndWhereTheyAreToldTo() async throws {
        let model = try await Self.model { $0.answers = 2 }
        let whole = model.complete(Self.question, maxTokens: 12)
        let text = try await whole.text()
        #expect(whole.summary?.end == .length || whole.summary?.end == .endOfText)
        let stop = String(text.dropFirst(text.count / 2).prefix(2))
        let cut = model.complete(Self.question, maxTokens: 12, stop: [stop])
        let beginning = try await cut.text()
        #expect(cut.summary?.end == .stopString)
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
            { $0.answers = 0 }, { $0.threads = 0 }, { $0.memory = 0 }, { $0.contextLength = 7 },
            { $0.contextLength = 100_000 },
        ] {
            #expect(await reason { _ = try await Self.model(change) } == .badOption)
        }
        let model = try await Self.model { $0.contextLength = 64 }
        #expect(
            await reason { _ = try Session(model, sampling: Sampling(topP: 2)) }
                == .badOption)
        let session = try Session(model)
        let long = String(repeating: "one two three four ", count: 40)
        #expect(await reason { _ = try await session.respond(to: long).text() } == .tooLong)
        #expect(session.messages.isEmpty)
        #expect(await reason { _ = try await model.complete(long).text() } == .tooLong)
    }
}
