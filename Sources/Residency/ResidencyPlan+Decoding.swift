/// Which coded tiles are decoded before the first pass. Those need more memory, so that more of the
/// others is read in each pass, and save the time of decoding in each.
extension ResidencyPlan {
    /// Steps in which the share of decoded tiles is tried.
    private static let steps = 32

    /// Whether any tile would have to be decoded in a pass.
    var hasCodedTiles: Bool { items.contains { $0.plainTileBytes > 0 } }

    /// Never decodes tiles of some matrices ahead.
    ///
    /// - Parameter isLeft: By a matrix's name.
    mutating func leaveCoded(_ isLeft: (String) -> Bool) {
        for index in items.indices where isLeft(items[index].name) {
            items[index].plainTileBytes = 0
        }
    }

    /// The same with as many tiles decoded ahead as make a pass fastest.
    ///
    /// - Parameters:
    ///   - readRate: Bytes per second from the disk; nil: nothing that fits may be streamed for it.
    ///   - decodeRate: Stored bytes per second that all threads decode.
    func decodingAhead(readRate: Double?, decodeRate: Double) -> ResidencyPlan {
        var best = self
        var least = best.seconds(readRate ?? 1, decodeRate)
        // Codes of 4 bits grow less than those of 8: they come first.
        let growths = Set(items.compactMap(\.growth)).sorted()
        for growth in growths {
            for step in 1...Self.steps {
                var plan = self
                for index in items.indices {
                    guard let own = items[index].growth, own <= growth else { continue }
                    let share = own < growth ? Self.steps : step
                    plan.items[index].decodedTiles = items[index].tiles.count * share / Self.steps
                }
                let held = plan.items.reduce(0) { $0 + $1.decodedTiles * $1.plainTileBytes }
                guard held < free - (isResident ? 0 : windowBytes) else { return best }
                plan.keepRest()
                guard plan.totalBytes <= budget.bytes, readRate != nil || plan.isResident else {
                    return best
                }
                let seconds = plan.seconds(readRate ?? 1, decodeRate)
                if seconds < 0.98 * least { (best, least) = (plan, seconds) }
            }
        }
        return best
    }

    /// Seconds of the slower of reading and decoding in a pass.
    func seconds(_ readRate: Double, _ decodeRate: Double) -> Double {
        let decoded = items.reduce(0) { sum, item in
            item.plainTileBytes == 0
                ? sum : sum + item.tiles[item.decodedTiles...].reduce(0, +)
        }
        return max(Double(streamedBytes) / readRate, Double(decoded) / decodeRate)
    }
}

extension ResidencyPlan.Item {
    /// Quarters by which its tiles are larger when decoded; nil if they are plain.
    fileprivate var growth: Int? {
        plainTileBytes > 0 ? 4 * plainTileBytes * tiles.count / max(1, bytes) : nil
    }
}
