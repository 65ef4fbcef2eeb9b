package import TesseraDecoding
package import TesseraTransformer
internal import TesseraTokenization
internal import TesseraWeightFile

/// One text of a model: its tokens so far, and the decoder that continues it.
package struct DecodedText {
    package let sequence: TokenSequence
    package let state: DecodingState
    package let decoder: any TokenDecoder

    /// - Parameters:
    ///   - drafting: The drafting that the model was opened for.
    ///   - planner: The planner of all texts that share passes.
    ///   - drafter: The model that drafts, if any.
    ///   - cached: Tokens that the sequence has committed already.
    init(
        _ source: ModelSource, _ sequence: TokenSequence, _ drafting: Drafting,
        _ planner: Planner, drafter: DraftModel? = nil, cached: [Int32] = []
    ) throws {
        self.sequence = sequence
        let sampler = Sampler(
            SamplingOptions(), vocabularySize: source.file.config.vocabularySize,
            forbidden: source.file.tokensWithoutText, compute: sequence.compute)
        state = DecodingState(
            sequence, sampler: sampler, stopTokens: source.stopTokens, cached: cached)
        let drafts = try drafter?.drafts(
            for: sequence, stopTokens: source.stopTokens, drafting.lookups(planner))
        decoder = try drafting.decoder(state, planner, drafts: drafts)
    }
}

extension WeightFile {
    /// Ids that stand for nothing: the mask, padding of the vocabulary.
    package var tokensWithoutText: [Int32] {
        let kinds = tokenizer.kinds
        var ids = kinds.indices.filter { kinds[$0] == .unused }.map { Int32($0) }
        if kinds.count < config.vocabularySize {
            ids += (kinds.count..<config.vocabularySize).map { Int32($0) }
        }
        if let mask = config.blockDecoding?.maskToken { ids.append(Int32(mask)) }
        return ids
    }
}
