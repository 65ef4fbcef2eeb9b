@testable import TesseraDecoding
import Testing

@Suite struct LookupSourceTests {
    private let sampler = anySampler()

    private func offer(
        _ source: LookupSource, _ text: [Int32], unchanged: Int = 0, most: Int = 8
    ) -> Draft {
        var draft = Draft()
        source.draft(
            DraftRequest(text: text, unchanged: unchanged, most: most, sampler: sampler),
            into: &draft)
        return draft
    }

    @Test func theLongestMatchWinsAndTheNewestOfEqualOnes() {
        #expect(offer(LookupSource(), [1, 2, 3, 9, 2, 3]).tokens == [9, 2, 3, 9, 2, 3, 9, 2])
        #expect(offer(LookupSource(), [1, 2, 3, 4, 8, 2, 3, 5, 1, 2, 3]).tokens.first == 4)
        #expect(offer(LookupSource(), [2, 3, 4, 8, 2, 3, 5, 1, 2, 3]).tokens.first == 5)
        #expect(offer(LookupSource(), [1, 2, 3, 4]).isEmpty)
        #expect(offer(LookupSource(), []).isEmpty)
        #expect(offer(LookupSource(), [1, 1], most: 0).isEmpty)
    }

    @Test func whatRepeatsIsDraftedAsFarAsWanted() {
        #expect(offer(LookupSource(), [4, 4, 4]).tokens == Array(repeating: 4, count: 8))
        #expect(offer(LookupSource(), [5, 6, 7, 5, 6]).tokens == [7, 5, 6, 7, 5, 6, 7, 5])
    }

    @Test func aCorpusIsLookedUpTooButNotAcrossItsEnd() {
        let corpus = LookupCorpus([10, 11, 12, 13])
        let source = LookupSource(corpus: corpus)
        #expect(offer(source, [1, 10, 11]).tokens == [12, 13])
        #expect(offer(source, [12, 13]).isEmpty)
        #expect(offer(LookupSource(corpus: LookupCorpus([])), [12, 13]).isEmpty)
        // The text itself comes first where it matches as long.
        #expect(offer(source, [10, 11, 20, 10, 11]).tokens.first == 20)
        // A copy from the corpus is followed over the tokens that it replaces.
        let long = LookupCorpus((0..<40).map { 100 + $0 })
        let other = LookupSource(corpus: long)
        _ = offer(other, [100, 101, 102, 103])
        let copied: [Int32] = [100, 101, 102, 103, 104, 105]
        _ = offer(other, copied, unchanged: 4)
        #expect(offer(other, copied + [7], unchanged: 6).tokens.first == 107)
    }

    /// Texts learn the chances of a corpus apart from their own.
    @Test func aCorpusIsBelievedLessUntilItHasBeenRight() throws {
        let corpus = (0..<400).map { Int32(1000 + $0) }
        let source = LookupSource(corpus: LookupCorpus(corpus))
        let own = LookupSource()
        let text = [5] + corpus[..<2]
        let first = try #require(offer(source, text).confidences.first)
        let ownFirst = try #require(offer(own, corpus[..<3] + text).confidences.first)
        #expect(first < ownFirst)
        var known = text.count
        for end in stride(from: 4, to: 380, by: 4) {
            let longer = [5] + corpus[..<end]
            _ = offer(source, longer, unchanged: known)
            known = longer.count
        }
        let last = try #require(
            offer(source, [5] + corpus[..<382], unchanged: known).confidences.first)
        #expect(last > 0.9)
    }

    @Test func aLargeCorpusKeepsItsEnd() {
        let corpus = LookupCorpus((0..<Int32(LookupCorpus.capacity + 100)).map { $0 })
        #expect(corpus.count == LookupCorpus.capacity)
        #expect(corpus.bytes < 80 * LookupCorpus.capacity)
        let source = LookupSource(corpus: corpus)
        #expect(offer(source, [50, 51, 52]).isEmpty)
        #expect(offer(source, [500, 501, 502]).tokens.first == 503)
    }

    /// Where a copy has replaced a token, the draft goes on after it, though nothing there matches yet.
    @Test func aCopyGoesOnAfterReplacedTokens() {
        let source = LookupSource()
        let original = (0..<60).map { Int32(100 + $0 * $0 % 61) }
        var text = original + [1, 2]
        var (known, right) = (0, 0)
        for (offset, token) in original.enumerated() {
            let draft = offer(source, text, unchanged: known)
            known = text.count
            let isReplaced = offset % 6 == 5
            if offset > 12, offset % 6 == 0, draft.tokens.first == token { right += 1 }
            text.append(isReplaced ? Int32(1000 + offset) : token)
        }
        #expect(right >= 6)
    }

    @Test func theIndexFollowsATextThatIsCutAndGoesOnOtherwise() {
        func places(_ index: TextIndex) -> [[Int]] {
            (0..<3).map { table in
                var places: [Int] = []
                index.forEachPlace(table: table) {
                    places.append($0)
                    return true
                }
                return places
            }
        }
        var index = TextIndex(lengths: [4, 2, 1], capacity: 64)
        var random = SplitMix(seed: 5)
        func number(_ range: ClosedRange<Int>) -> Int {
            range.lowerBound + Int(random.unit() * Double(range.count))
        }
        for _ in 0..<300 {
            index.truncate(to: number(max(0, index.tokens.count - 20)...index.tokens.count))
            for _ in 0..<number(0...25) { index.append(Int32(number(0...5))) }
            var fresh = TextIndex(lengths: [4, 2, 1], capacity: index.tokens.count)
            for token in index.tokens { fresh.append(token) }
            for (table, length) in [4, 2, 1].enumerated() {
                func matching(_ index: TextIndex) -> [Int] {
                    places(index)[table].filter { index.matchLength($0, most: length) == length }
                }
                #expect(matching(index) == matching(fresh))
            }
        }
    }

    @Test func hashesGrowWithTheText() {
        var index = TextIndex(lengths: [2, 1], capacity: 8)
        let text = (0..<5000).map { Int32($0 % 1000) }
        for token in text { index.append(token) }
        #expect(index.tokens == text)
        var places: [Int] = []
        index.forEachPlace(table: 0) {
            if index.matchLength($0, most: 2) == 2 { places.append($0) }
            return true
        }
        #expect(places == [4000, 3000, 2000, 1000])
        index.truncate(to: 1000)
        places = []
        index.forEachPlace(table: 0) {
            if index.matchLength($0, most: 2) == 2 { places.append($0) }
            return true
        }
        #expect(places.isEmpty)
    }

    /// A match of two tokens that never holds is soon hardly believed, one that always holds is.
    @Test func chancesAreLearnedFromTheText() throws {
        func text(_ next: (Int) -> Int32) -> [Int32] {
            (0..<200).flatMap { [1, 2, next($0), Int32(100 + $0)] }
        }
        for (all, isRight) in [(text { Int32(1000 + $0) }, false), (text { _ in 3 }, true)] {
            let source = LookupSource()
            let first = try #require(offer(source, Array(all[..<6])).confidences.first)
            for round in 2..<199 {
                _ = offer(source, Array(all[..<(4 * round + 2)]), unchanged: 4 * round - 2)
            }
            let last = try #require(
                offer(source, Array(all[..<798]), unchanged: 794).confidences.first)
            #expect(isRight ? last > 0.9 && last > first : last < 0.05 && last < first)
        }
    }

    @Test func chancesAreChancesWhateverIsSeen() {
        let source = LookupSource()
        var text: [Int32] = []
        for step in 0..<500 {
            let before = text.count
            text.append(Int32(step * step % 7))
            for chance in offer(source, text, unchanged: before, most: 31).confidences {
                #expect((0...1).contains(chance))
            }
        }
    }
}
