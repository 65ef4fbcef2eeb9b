/// Chooses the block size that gives the most tokens per second, from the time that passes take here
/// and from how many passes the positions of earlier blocks needed.
///
/// A block of k is expected to take the passes that the first k positions of larger ones took, and
/// as many more per further position as the last ones did; a window of k, to move in each pass by as
/// many positions as larger ones did, and by k at most: see ``OffsetCurve``.
public final class AdaptiveBlockSize: BlockSizePolicy, ExperienceSource {
    /// Of a window that slides, or of a block that is filled before the next begins.
    private let slides: Bool
    /// Sizes to choose from, ascending.
    public let sizes: [Int]
    /// The time of passes, kept up to date.
    public private(set) var costs: PassCosts
    /// What this run has shown, but for the trial's part.
    private var seen: Experience
    /// That and what earlier runs have shown, fading.
    private var experience: Experience
    private var trial: Trial
    /// Seconds of the passes whose tokens are not told yet.
    private var seconds = 0.0

    /// Tokens after which what was seen counts for a third; and blocks.
    private static let memory = 200.0
    private static let blockMemory = 40.0

    public init(costs: PassCosts, largest: Int, slides: Bool, experience: Experience) {
        self.costs = costs
        self.slides = slides
        self.experience = experience.beginning()
        seen = experience.emptied
        trial = Trial(experience.blockCost)
        sizes = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64].filter { $0 <= largest }
    }

    public var run: Experience {
        var result = seen
        result.blockCost = trial.run
        return result
    }

    public func nextBlockSize() -> Int {
        var choice: (size: Int, rate: Double)?
        let isInBlocks =
            costs.isEmpty
            || trial.choosesBlocks {
                let best = best()
                choice = best
                return best.rate * costs.seconds(1)
            }
        return isInBlocks ? (choice ?? best()).size : 1
    }

    /// The size that gives the most tokens per second, of those above 1.
    private func best() -> (size: Int, rate: Double) {
        let chances = experience.offsets.chances
        var best = (size: 1, rate: 0.0)
        // Passes that fill a block, and tokens that a pass fixes of a window.
        var (passes, tokens, reach) = (1.0, 1.0, 1.0)
        for size in 2...max(2, sizes.last ?? 1) {
            passes += 1 - chances[size - 2]
            reach *= chances[size - 2]
            tokens += reach
            guard sizes.contains(size) else { continue }
            let rate = slides ? rate(size, tokens: tokens) : rate(size, passes: passes)
            if rate > best.rate { best = (size, rate) }
        }
        return best
    }

    /// Expected tokens per second: the first pass commits the block before and opens this one.
    private func rate(_ size: Int, passes: Double) -> Double {
        let first = costs.seconds(2 * size, rows: size)
        let further = costs.seconds(size, rows: (size + 1) / 2)
        return Double(size) / max(first + (passes - 1) * further, 1e-12)
    }

    /// Expected tokens per second: every pass commits as many tokens as the last one fixed.
    private func rate(_ size: Int, tokens: Double) -> Double {
        let seconds = costs.seconds(size + Int(tokens.rounded()), rows: size)
        return tokens / max(seconds, 1e-12)
    }

    public func blockFinished(passes: ArraySlice<Int>) {
        tell(passes.count)
        guard passes.count > 1 else { return }
        let share = max(0, 1 - max(1 / Self.blockMemory, Double(passes.count) / Self.memory))
        experience.offsets.fade(to: share)
        seen.offsets.fade(to: share)
        for (offset, end) in passes.indices.dropFirst().enumerated() {
            add(offset, passes[..<end].contains(passes[end]))
        }
    }

    public func windowMoved(by tokens: Int, of size: Int) {
        tell(tokens)
        guard size > 1 else { return }
        let share = max(0, 1 - Double(tokens) / Self.memory)
        experience.offsets.fade(to: share)
        seen.offsets.fade(to: share)
        for offset in 0..<min(tokens, size - 1) { add(offset, offset < tokens - 1) }
    }

    private func tell(_ tokens: Int) {
        if seconds > 0 { trial.add(tokens: tokens, seconds: seconds) }
        seconds = 0
    }

    private func add(_ offset: Int, _ holds: Bool) {
        experience.offsets.add(offset, holds ? 1 : 0)
        seen.offsets.add(offset, holds ? 1 : 0)
    }

    public func passMeasured(positions: Int, rows: Int, seconds: Double) {
        costs.update(positions: positions, rows: rows, seconds: seconds)
        // Of a pass that reads a prompt, what it would take behind one token.
        let isPrompt = positions > 2 * (sizes.last ?? 1)
        self.seconds += isPrompt ? costs.seconds(rows > 1 ? 1 + rows : 1, rows: rows) : seconds
    }
}
