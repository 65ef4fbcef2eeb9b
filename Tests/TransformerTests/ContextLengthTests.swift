import TesseraResidency
import Testing
import TesseraTransformer

@Suite struct ContextLengthTests {
    @Test("A context is as long as memory has room for, and no longer than the model's own")
    func contexts() async throws {
        let file = try await TinyModel.llama.open()
        var options = Model.Options()
        #expect(Model.longestContext(file, upTo: 50, options: options) == 50)
        #expect(Model.longestContext(file, upTo: 5000, options: options) == 256)
        #expect(Model.conversationContext(file, options: options) == 256)

        func fits(_ context: Int) -> Bool {
            options.contextLength = context
            return (try? Model.plan(file, options: options)) != nil
        }
        options.contextLength = 100
        let needed = try Model.plan(file, options: options).totalBytes
        options.memory = MemoryBudget(bytes: needed, source: .option)
        let longest = Model.longestContext(file, upTo: 256, options: options)
        #expect(longest > 0 && longest < 256 && fits(longest))
        #expect(!fits(longest + longest / 32 + 2))
        options.memory = MemoryBudget(bytes: 1, source: .option)
        #expect(Model.longestContext(file, upTo: 256, options: options) == 0)
    }
}
