import TesseraWeightFile

extension GoldenModels {
    /// Every field of a drafter, without tokens.
    static var drafter: TinyModel {
        var model = TinyModel()
        var drafter = ModelConfig.Drafter()
        (drafter.taps, drafter.targetLayers) = ([-1, 2, 0], 3)
        (drafter.blockSize, drafter.maskToken, drafter.predictsNext) = (7, 5, true)
        (drafter.markovRank, drafter.confidence) = (4, .outputAndPrevious)
        drafter.draftTokens = [0, 2, 5]
        model.config.drafter = drafter
        model.config.tieWordEmbeddings = false
        model.config.layers[0].queryKeyNorm = .perHead
        model.tokenizer = TokenizerTables(tokens: [], kinds: [], merges: [])
        model.chatTemplate = nil
        model.setTensors(encoding: .int8)
        return model
    }

    /// The same without what can be left out.
    static var plainDrafter: TinyModel {
        var model = Self.drafter
        var drafter = ModelConfig.Drafter()
        (drafter.taps, drafter.targetLayers, drafter.blockSize) = ([1], 2, 16)
        model.config.drafter = drafter
        model.setTensors(encoding: .int4)
        return model
    }
}

extension GoldenErrors {
    static let drafter: [Case] = [
        // The drafter begins at 184 in a file with one run of layers.
        Case(rule: .drafter, label: "block-of-0", model: GoldenModels.drafter) {
            $0.set($0.config + 188, u32: 0)
        },
        Case(rule: .drafter, label: "block-of-1", model: GoldenModels.plainDrafter) {
            $0.set($0.config + 188, u32: 1)
        },
        Case(rule: .drafter, label: "mask", model: GoldenModels.drafter) {
            $0.set($0.config + 192, u32: 6)
        },
        Case(rule: .drafter, label: "flag-2", model: GoldenModels.drafter) {
            $0.set($0.config + 200, u32: 3)
        },
        Case(rule: .drafter, label: "confidence-2-without-markov", model: GoldenModels.plainDrafter)
        {
            $0.set($0.config + 204, u32: 2)
        },
        Case(rule: .drafter, label: "no-taps", model: GoldenModels.drafter) {
            $0.set($0.config + 208, u32: 0)
        },
        Case(rule: .drafter, label: "7-tokens-of-6", model: GoldenModels.drafter) {
            $0.set($0.config + 212, u32: 7)
        },
        Case(rule: .drafter, label: "tap-beyond", model: GoldenModels.drafter) {
            $0.set($0.config + 216, u32: 4)
        },
        Case(rule: .drafter, label: "falling-tokens", model: GoldenModels.drafter) {
            $0.set($0.config + 232, u32: 0)
        },
        Case(rule: .drafter, label: "tied", model: GoldenModels.drafter) {
            $0.bytes[$0.config + 40] |= 1
        },
        Case(rule: .tensorSet, label: "drafter-without-fc", model: GoldenModels.drafter) {
            $0.bytes[$0.name(0)] ^= 1
        },
    ]
}
