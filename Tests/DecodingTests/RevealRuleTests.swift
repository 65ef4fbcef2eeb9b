import Testing

@testable import TesseraDecoding

@Suite struct RevealRuleTests {
    private func predictions(
        entropies: [Float], confidences: [Float]? = nil, margins: [Float]? = nil
    ) -> [Prediction] {
        entropies.indices.map { index in
            Prediction(
                token: 0, entropy: entropies[index], confidence: confidences?[index] ?? 0.5,
                margin: margins?[index] ?? 0.1)
        }
    }

    private func revealed(_ rule: RevealRule, _ predictions: [Prediction]) -> [Int] {
        var open = Array(predictions.indices)
        let count = rule.select(&open, predictions)
        return Array(open[..<count])
    }

    @Test func entropiesBeforeTheLastSumToAtMostGamma() {
        let some = predictions(entropies: [0.3, 0.05, 2, 0.1, 0.04])
        // Sorted: 0.04 0.05 0.1 0.3 2
        #expect(revealed(.entropyBound(gamma: 0, .entropy), some) == [4])
        #expect(revealed(.entropyBound(gamma: 0.04, .entropy), some) == [4, 1])
        #expect(revealed(.entropyBound(gamma: 0.1, .entropy), some) == [4, 1, 3])
        #expect(revealed(.entropyBound(gamma: 0.2, .entropy), some) == [4, 1, 3, 0])
        #expect(revealed(.entropyBound(gamma: 0.5, .entropy), some) == [4, 1, 3, 0, 2])
    }

    @Test func theFirstPositionIsAlwaysDecidedAndDoesNotCount() {
        let some = predictions(entropies: [0.3, 0.05, 2, 0.1, 0.04])
        // After the first, sorted: 0.04 0.05 0.1 2
        #expect(revealed(.firstAndBound(gamma: 0, .entropy), some) == [0])
        #expect(revealed(.firstAndBound(gamma: 0.1, .entropy), some) == [0, 4, 1])
        #expect(revealed(.firstAndBound(gamma: 0.2, .entropy), some) == [0, 4, 1, 3])
        #expect(revealed(.firstAndBound(gamma: 3, .entropy), some) == [0, 4, 1, 3, 2])
        var open = [4, 2, 3]
        #expect(RevealRule.firstAndBound(gamma: 0.04, .entropy).select(&open, some) == 2)
        #expect(open == [2, 4, 3])
    }

    @Test func certainPositionsAreFreeAndEqualOnesGoInOrder() {
        #expect(
            revealed(
                .entropyBound(gamma: 0, .entropy), predictions(entropies: [0, 1, 0, 0]))
                == [0, 2, 3, 1])
    }

    @Test func otherProxiesOrderByTheirsAndBoundTheSumLessTheLargest() {
        let some = predictions(
            entropies: [1, 0.2, 0.5], confidences: [0.9, 0.5, 0.7], margins: [0.1, 0.3, 0.2])
        // Confidence order 0 2 1: sums less the largest 0, 0.5, 0.7.
        #expect(revealed(.entropyBound(gamma: 0.4, .confidence), some) == [0])
        #expect(revealed(.entropyBound(gamma: 0.5, .confidence), some) == [0, 2])
        #expect(revealed(.entropyBound(gamma: 0.7, .confidence), some) == [0, 2, 1])
        // Margin order 1 2 0: 0, 0.2, 0.7.
        #expect(revealed(.entropyBound(gamma: 0.2, .margin), some) == [1, 2])
    }

    @Test func theFactorBoundsConfidence() {
        let some = predictions(
            entropies: [0, 0, 0, 0], confidences: [0.99, 0.5, 0.9, 0.97])
        // (n + 1)(1 - c_n): 0.02, 0.09, 0.4, 2.5
        #expect(revealed(.factor(0.05), some) == [0])
        #expect(revealed(.factor(0.1), some) == [0, 3])
        #expect(revealed(.factor(0.5), some) == [0, 3, 2])
        #expect(revealed(.factor(0), some) == [0])
    }

    @Test func theThresholdRevealsAllAboveItAndAtLeastOne() {
        let some = predictions(entropies: [0, 0, 0], confidences: [0.95, 0.5, 0.91])
        #expect(revealed(.confidence(threshold: 0.9), some) == [0, 2])
        #expect(revealed(.confidence(threshold: 0.99), some) == [0])
    }

    @Test func badParametersAreErrors() {
        #expect(throws: DecodingError.self) {
            try RevealRule.entropyBound(gamma: -1, .entropy).validate()
        }
        #expect(throws: DecodingError.self) {
            try RevealRule.firstAndBound(gamma: .nan, .entropy).validate()
        }
        #expect(throws: DecodingError.self) { try RevealRule.factor(.nan).validate() }
        #expect(throws: DecodingError.self) {
            try RevealRule.confidence(threshold: 0).validate()
        }
    }
}
