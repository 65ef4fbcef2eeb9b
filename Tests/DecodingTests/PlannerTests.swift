@testable import TesseraDecoding
import Testing

/// Machines that differ in the cost of a further position of a pass.
private enum Machine: String, CaseIterable {
    case disk, memory, arithmetic

    func seconds(_ positions: Int) -> Double {
        switch self {
        case .disk: 5
        case .memory: max(0.15, 0.02 * Double(positions))
        case .arithmetic: 0.01 + 0.01 * Double(positions)
        }
    }
}

/// Lossless decoding of texts that are drawn by chance, with drafts of masks.
@Suite struct PlannedDraftTests {
    /// By offset, the chance that a draft token is accepted where all before it were.
    private static let texts: [(String, @Sendable (Int) -> Double)] = [
        ("certain", { _ in 0.99 }), ("usual", { _ in 0.85 }), ("hard", { _ in 0.3 }),
        ("easy at first", { $0 < 6 ? 0.95 : 0.4 }),
    ]

    /// Tokens per second of `count` texts that share passes. A token's confidence is its chance, which varies
    /// around that of its offset.
    private func simulate(
        _ planner: Planner, tokens: Int, _ machine: Machine, seed: UInt64 = 1, count: Int = 1,
        noise: Double = 0, _ chance: (Int) -> Double
    ) -> Double {
        var random = SplitMix(seed: seed)
        var (made, seconds) = (0, 0.0)
        var drafts = Array(repeating: Draft(), count: count)
        while made < tokens {
            var filled: [DraftOffer] = []
            for draft in drafts {
                var offer = DraftOffer()
                offer.fill(
                    given: 1, chances: draft.confidences.map(planner.confidences.chance),
                    isEnded: false,
                    limit: 1000, masks: planner.masks)
                filled.append(offer)
            }
            let picks = planner.choose(filled.map(\.offer), room: 128, rows: 128)
            var (positions, gained) = (0, 0)
            for index in drafts.indices {
                let choice = filled[index].choices[picks[index]]
                positions += 1 + choice.verified + choice.masks
                var accepted = 0
                while accepted < choice.verified {
                    let confidence = drafts[index].confidences[accepted]
                    let isRight = random.unit() < Double(confidence)
                    planner.confidences.add(confidence, isRight: isRight)
                    guard isRight else { break }
                    accepted += 1
                }
                gained += accepted + 1
                drafts[index] = Draft()
                guard accepted == choice.verified, choice.masks > 1 else { continue }
                for offset in 0..<choice.masks - 1 {
                    // Mostly sure, sometimes not at all.
                    let mean = chance(offset)
                    let isSure = random.unit() < mean
                    drafts[index].append(1, Float(isSure ? 1 - (1 - mean) / 4 : 0.75 * mean))
                }
                planner.masks.add(drafts[index], masks: choice.masks)
            }
            // Other programs stop some passes.
            let stop = noise > 0 && random.unit() < 0.1 ? 1 + 4 * random.unit() : 1
            let time = machine.seconds(positions) * stop * (1 + noise * (random.unit() - 0.5))
            planner.passMade(
                filled.map(\.offer), picks, tokens: gained, seconds: time, drafting: 0)
            seconds += machine.seconds(positions)
            made += gained
        }
        return Double(made) / seconds
    }

    private func fixed(_ masks: Int) -> Planner { Planner(largest: masks, isFixed: true) }
    private func planner() -> Planner { Planner(largest: 32) }

    /// The number of masks that is best for another text of the same kind: the best of several for the
    /// same text would be a matter of luck too.
    private func bestMasks(_ machine: Machine, _ chance: (Int) -> Double) -> Int {
        let rates = [1, 4, 8, 16, 32].map {
            ($0, simulate(fixed($0), tokens: 600, machine, seed: 0, chance))
        }
        return rates.max { $0.1 < $1.1 }?.0 ?? 1
    }

    @Test(arguments: Machine.allCases)
    private func itIsAsFastAsTheBestFixedNumberOfMasks(machine: Machine) {
        for (text, chance) in Self.texts {
            let fixed = fixed(bestMasks(machine, chance))
            let best = simulate(fixed, tokens: 1200, machine, chance)
            let rate = simulate(planner(), tokens: 1200, machine, noise: 0.2, chance)
            // Where all is certain and all costs the same, it takes long to try this many masks.
            let least = text == "certain" && machine == .disk ? 0.55 : 0.88
            #expect(rate > least * best, "\(machine), \(text): \(rate / best)")
        }
    }

    @Test func wherePositionsCostAsMuchAsPassesItDecodesSingleTokens() {
        let planner = Planner(largest: 32)
        var (passes, positions) = (0, 0)
        var offer = DraftOffer()
        for _ in 0..<60 {
            offer.fill(given: 1, chances: [], isEnded: false, limit: 99, masks: planner.masks)
            let pick = planner.choose([offer.offer], room: 128, rows: 128)
            let count = offer.offer.options[pick[0]].positions
            planner.passMade([offer.offer], pick, tokens: 1, seconds: Double(count), drafting: 0)
            passes += 1
            if passes > 20 { positions += count }
        }
        #expect(positions <= 45, "\(positions)")
    }

    /// Drafts fill the passes of few texts, and are not wanted in those of many.
    @Test func manyTextsLeaveNoRoomForDrafts() {
        let chance: (Int) -> Double = { _ in 0.85 }
        func gain(_ count: Int) -> Double {
            let planned = simulate(planner(), tokens: 900, .memory, count: count, chance)
            return planned / simulate(fixed(1), tokens: 900, .memory, count: count, chance)
        }
        let gains = [1, 2, 8, 16].map(gain)
        #expect(gains[0] > 2 && gains[1] > 1.4, "\(gains)")
        #expect(gains.allSatisfy { $0 > 0.96 }, "\(gains)")
    }
}

/// Blocks that are not verified, of texts that are drawn by chance.
@Suite struct PlannedBlockTests {
    /// By offset, how likely a position needs a pass that none before it needed.
    private static let texts: [(String, @Sendable (Int) -> Double)] = [
        ("easy", { _ in 0.04 }), ("usual", { _ in 0.2 }), ("hard", { _ in 0.8 }),
        ("easy at first", { $0 < 8 ? 0.05 : 0.9 }),
    ]

    /// Tokens per second: in blocks, or in a window that stops where a new pass is needed.
    private func simulate(
        _ planner: Planner, tokens: Int, _ machine: Machine, slides: Bool, seed: UInt64 = 1,
        _ newPass: (Int) -> Double
    ) -> Double {
        var random = SplitMix(seed: seed)
        var (made, seconds, before) = (0, 0.0, 1)
        func pass(_ offer: Offer, _ pick: [Int], tokens: Int) {
            let time = machine.seconds(offer.options[pick[0]].positions)
            planner.passMade([offer], pick, tokens: tokens, seconds: time, drafting: 0)
            seconds += time
        }
        while made < tokens {
            var offer = Offer(given: before)
            for size in planner.blockSizes {
                offer.options.append(
                    .init(
                        positions: before + (size > 1 ? size : 0),
                        worth: planner.worth(ofBlock: size, slides: slides)))
            }
            let pick = planner.choose([offer], room: 128, rows: 128)
            let size = planner.blockSizes[pick[0]]
            if slides {
                before = (1..<max(1, size)).first { random.unit() < newPass($0) } ?? size
                pass(offer, pick, tokens: before)
                planner.offsets.add((1..<max(1, min(before + 1, size))).map { $0 < before })
            } else {
                before = size
                var passes = [1]
                for offset in 1..<max(1, size) {
                    let isNew = random.unit() < newPass(offset)
                    passes.append(isNew ? passes[offset - 1] + 1 : passes[offset - 1])
                }
                pass(offer, pick, tokens: 0)
                let further = Offer(given: 0, positions: size)
                for _ in 1..<(passes.last ?? 1) { pass(further, [0], tokens: 0) }
                planner.passMade([], [], tokens: size, seconds: 0, drafting: 0)
                planner.offsets.add(
                    passes.indices.dropFirst().map { passes[..<$0].contains(passes[$0]) })
            }
            made += before
        }
        return Double(made) / seconds
    }

    private func bestFixed(
        _ machine: Machine, slides: Bool, tokens: Int = 800, _ newPass: (Int) -> Double
    ) -> Double {
        [1, 4, 8, 16, 32].map { size in
            simulate(
                Planner(largest: size, isFixed: true), tokens: tokens, machine, slides: slides,
                newPass)
        }.max() ?? 0
    }

    @Test(arguments: Machine.allCases, [false, true])
    private func itIsAboutAsFastAsTheBestFixedSize(machine: Machine, slides: Bool) {
        for (text, newPass) in Self.texts {
            let best = bestFixed(machine, slides: slides, newPass)
            let planner = Planner(largest: 32)
            let rate = simulate(planner, tokens: 800, machine, slides: slides, newPass)
            #expect(rate > 0.85 * best, "\(machine), \(text): \(rate / best)")
        }
    }

    @Test(arguments: Machine.allCases)
    private func itFollowsATextThatChanges(machine: Machine) {
        let planner = Planner(largest: 32)
        for (text, newPass) in [Self.texts[2], Self.texts[0], Self.texts[3]] {
            let best = bestFixed(machine, slides: true, newPass)
            let rate = simulate(planner, tokens: 800, machine, slides: true, newPass)
            #expect(rate > 0.7 * best, "\(machine), \(text): \(rate / best)")
        }
    }
}

/// Random numbers that are the same in every run.
struct SplitMix {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 }

    /// In [0, 1).
    mutating func unit() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return Double((z ^ (z >> 31)) >> 11) * 0x1p-53
    }
}
