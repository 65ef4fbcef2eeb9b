import TesseraDecoding
import Foundation
import TesseraTestSupport
import Testing
import TesseraTokenization
import TesseraTransformer
import TesseraWeightFile

/// Several texts in common passes, by the model that comes with the program.
@Suite struct BatchTests {
    private let file: WeightFile
    private let tokenizer: Tokenizer

    init() throws {
        file = try WeightFile(path: Models.standard)
        tokenizer = try Tokenizer(file.tokenizer)
    }

    /// How a text is decoded.
    private enum Way: CaseIterable {
        case single, verified, blocks, masks, lookup, model
    }

    private func options(further: [Int] = []) -> Model.Options {
        var options = Model.Options()
        options.contextLength = 192
        options.batchCapacity = 48
        options.logitCapacity = 128
        options.threads = 2
        options.furtherContexts = further
        return options
    }

    private func prompt(_ number: Int) -> [Int32] {
        let people = ["Tom", "Ann", "Carl", "Hugo", "Liam", "Sam", "Eva"]
        let text =
            "Read this and answer with a number only. \(people[number % 7]) has \(number + 3) pens."
            + String(repeating: " He gets \(number) from Paul.", count: number % 5)
        return tokenizer.encode(text, specials: .asText)
    }

    private func sampling(_ number: Int) -> SamplingOptions {
        var options = SamplingOptions()
        options.temperature = number % 2 == 0 ? 0 : 1
        options.seed = UInt64(number)
        return options
    }

    /// - Parameter cached: Tokens that the sequence holds.
    private func generation(
        _ sequence: TokenSequence, _ way: Way, _ number: Int, cached: [Int32] = [],
        planner: Planner = Planner(largest: 8), drafter: Workspace? = nil,
        output: @escaping (FixedToken?, String) -> Void = { _, _ in }
    ) throws -> Generation {
        let mask = Int32(try #require(file.config.blockDecoding).maskToken)
        let sampler = Sampler(
            sampling(number), vocabularySize: file.config.vocabularySize, forbidden: [mask],
            compute: sequence.compute)
        let state = DecodingState(
            sequence, sampler: sampler, stopTokens: Set(file.tokenizer.eosTokens.map { Int32($0) }),
            cached: cached)
        let decoder: any TokenDecoder =
            switch way {
            case .single: NextTokenDecoder(state)
            case .verified: try VerifiedDecoder(state, Planner(largest: 4, isFixed: true))
            case .masks: try VerifiedDecoder(state, planner)
            case .lookup:
                try VerifiedDecoder(state, planner, source: LookupSource(), largest: 12)
            case .model:
                try VerifiedDecoder(
                    state, planner,
                    source: ModelDrafts(
                        drafter.map { try TokenSequence($0) }
                            ?? TokenSequence(file, options: options()),
                        name: "same", stopTokens: state.stopTokens), largest: 12)
            case .blocks:
                try SetBlockDecoder(
                    state, rule: .firstAndBound(gamma: 0.3, .entropy),
                    Planner(largest: 6, isFixed: true))
            }
        return Generation(
            decoder, tokenizer: tokenizer, limit: 10 + 5 * (number % 4), stopStrings: ["zz"],
            output: output)
    }

    private func alone(_ way: Way, _ number: Int) throws -> GenerationSummary {
        let sequence = try TokenSequence(file, options: options())
        return try generation(sequence, way, number).run(prompt(number))
    }

    @Test func textsInCommonPassesAreThoseOfEachAlone() throws {
        let ways = Way.allCases
        let workspace = try Workspace(Model(file, options: options()))
        let drafter = try Workspace(Model(file, options: options()))
        let planner = Planner(largest: 8)
        let scheduler = Scheduler(workspace, planner)
        var summaries: [Int: GenerationSummary] = [:]
        func add(_ number: Int) throws {
            let sequence = try TokenSequence(workspace)
            let run = try generation(
                sequence, ways[number % 6], number, planner: planner, drafter: drafter
            ).start(prompt(number))
            scheduler.add(run, sequence) { summaries[number] = try? $0.get() }
        }
        for number in 0..<7 { try add(number) }
        var next = 7
        while scheduler.count > 0 {
            try scheduler.pass()
            // Others come later, with prompts that join passes of texts in the middle.
            if next < 12, scheduler.count < 6 {
                try add(next)
                next += 1
            }
        }
        for number in 0..<12 {
            let expected = try alone(ways[number % 6], number)
            let got = try #require(summaries[number])
            #expect(got.tokens.map(\.id) == expected.tokens.map(\.id), "text \(number)")
            #expect(got.tokens.map(\.logProbability) == expected.tokens.map(\.logProbability))
            #expect(got.stopReason == expected.stopReason)
            if ways[number % 6] != .blocks {
                let single = try alone(.single, number)
                #expect(got.tokens.map(\.id) == single.tokens.map(\.id), "text \(number)")
            }
        }
    }

    /// Counts the tokens of passes.
    private final class Counter: PassObserver {
        var tokens = 0
        var passes = 0
        func passBegins(tokens: Int) {
            self.tokens += tokens
            passes += 1
        }
        func finished(_ operation: PassOperation, layer: Int) {}
    }

    /// Answers all numbers; returns texts, and what the passes were.
    private func batch(
        _ numbers: [Int], places: Int, _ options: Model.Options, way: Way = .single,
        failing: Int? = nil, context: Int = 128
    ) throws -> (texts: [Int: String], errors: [Int: any Error], counter: Counter) {
        let workspace = try Workspace(Model(file, options: options))
        let counter = Counter()
        workspace.observer = counter
        let planner = Planner(largest: 8)
        var texts: [Int: String] = [:]
        var errors: [Int: any Error] = [:]
        let jobs = numbers.enumerated().map { place, number in
            let prompt = prompt(number)
            var text = ""
            return Batch.Job(prompt: prompt, contextLength: context) { sequence, held in
                if number == failing { throw DecodingError.emptyPrompt }
                return try generation(
                    sequence, way, number, cached: Array(prompt[..<held]), planner: planner
                ) { text += $1 }.start(Array(prompt[held...]))
            } finished: { result in
                switch result {
                case .success: texts[place] = text
                case .failure(let error): errors[place] = error
                }
            }
        }
        try Batch(workspace, places: places, planner).run(jobs)
        return (texts, errors, counter)
    }

    @Test(arguments: [1, 2, 5, 16], [Way.single, .masks, .lookup])
    private func aBatchGivesTheTextsOfEachAloneHoweverManyShareAPass(
        places: Int, way: Way
    ) throws {
        let numbers = Array(0..<9)
        let expected = try numbers.map { number in
            var text = ""
            let sequence = try TokenSequence(file, options: options())
            _ = try generation(sequence, .single, number) { text += $1 }.run(prompt(number))
            return text
        }
        let further = Array(repeating: 128, count: places)
        let got = try batch(numbers, places: places, options(further: further), way: way)
        #expect(numbers.map { got.texts[$0] } == expected)
        #expect(got.errors.isEmpty)
    }

    @Test func whatPromptsBeginWithIsComputedOnce() throws {
        let numbers = Array(0..<8)
        let prompts = numbers.map(prompt)
        let shared = prompts.reduce(prompts[0][...]) { shared, prompt in
            shared.prefix(zip(shared, prompt).prefix { $0 == $1 }.count)
        }.count
        #expect(shared >= 16)
        let got = try batch(
            numbers, places: 8, options(further: Array(repeating: 128, count: 9)))
        let own = prompts.reduce(0) { $0 + $1.count - shared }
        let decoded = numbers.reduce(0) { $0 + 10 + 5 * ($1 % 4) }
        #expect(got.counter.tokens <= shared + own + decoded)
        // Answers to one prompt: all but its last token is computed once.
        let same = try batch(
            [5, 5, 5, 5], places: 4, options(further: Array(repeating: 128, count: 5)))
        let prompt = prompts[5].count
        #expect(same.counter.tokens <= prompt + 4 * (1 + 15))
        #expect(Set(same.texts.values).count == 1 && same.texts.count == 4)
    }

    /// Prompts begin with one of two instructions in turn. The first comes with two documents: a tree of beginnings.
    @Test(arguments: [1, 3, 8])
    func whatSomePromptsBeginWithIsComputedOnceToo(places: Int) throws {
        let begins: [[Int32]] = [1, 2].map { seed in (0..<20).map { Int32(10 + $0 * seed) } }
        let documents = [3, 5].map { seed in (0..<20).map { Int32(300 + seed + $0 * seed) } }
        let prompts: [[Int32]] = (0..<12).map { number in
            let begin = begins[number % 2]
            let document = number % 2 == 0 ? documents[number / 2 % 2] : []
            return begin + document + [Int32(100 + number), 7]
        }
        var options = options(further: Array(repeating: 64, count: 15))
        options.slides = false
        let workspace = try Workspace(Model(file, options: options))
        let counter = Counter()
        workspace.observer = counter
        var answers: [Int: [Int32]] = [:]
        let jobs = prompts.enumerated().map { number, prompt in
            Batch.Job(prompt: prompt, contextLength: 64) { sequence, held in
                try generation(sequence, .single, 0, cached: Array(prompt[..<held]))
                    .start(Array(prompt[held...]))
            } finished: {
                answers[number] = (try? $0.get())?.tokens.map(\.id)
            }
        }
        try Batch(workspace, places: places).run(jobs)
        for (number, prompt) in prompts.enumerated() {
            let sequence = try TokenSequence(workspace, contextLength: 64)
            workspace.observer = nil
            let alone = try generation(sequence, .single, 0).run(prompt)
            #expect(answers[number] == alone.tokens.map(\.id), "text \(number)")
        }
        // Each beginning once, two tokens of each prompt, and all that was generated but the last tokens.
        let generated = answers.values.reduce(0) { $0 + $1.count - 1 }
        #expect(counter.tokens == 2 * 20 + 2 * 20 + 12 * 2 + generated)
    }

    @Test func whatFailsFailsAloneAndWhatDoesNotFitWaitsOrIsRefusedWithNumbers() throws {
        let failed = try batch(Array(0..<4), places: 2, options(further: [128]), failing: 2)
        #expect(failed.errors.keys.map { $0 } == [2] && failed.texts.count == 3)
        // Memory for one cache: texts are answered one after the other.
        var tight = options()
        tight.contextLength = 128
        let plan = try Model.plan(file, options: tight)
        tight.memory = .init(bytes: plan.totalBytes + 1000, source: .option)
        let one = try batch(Array(0..<4), places: 4, tight)
        #expect(one.errors.isEmpty && one.texts.count == 4, "\(one.errors)")
        // Memory for a shorter one: none is.
        (tight.contextLength, tight.memory) = (64, nil)
        let less = try Model.plan(file, options: tight)
        tight.memory = .init(bytes: less.totalBytes + 1000, source: .option)
        let none = try batch([1], places: 4, tight, context: 192)
        let error = try #require(none.errors[0] as? TransformerError)
        guard case .noRoomForSequence(let needed, let available) = error else {
            Issue.record("\(error)")
            return
        }
        #expect(needed > available)
    }
}
