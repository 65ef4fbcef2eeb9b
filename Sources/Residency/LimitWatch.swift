internal import TesseraMachine

/// Notices that control groups have come to allow less than a plan takes.
struct LimitWatch {
    private let groups: ControlGroups
    /// Times that a limit had been reached at the last look.
    private var pressure: Int

    init(_ groups: ControlGroups = .own) {
        self.groups = groups
        pressure = groups.memoryPressure
    }

    /// What a new plan may take; nil: the old one may stay.
    ///
    /// A limit below what the plan takes has been lowered. Where a limit is reached again and again,
    /// other programs may have taken what the plan counted on: weights that are to stay are pages that the
    /// kernel drops, so that every pass would read them again.
    ///
    /// - Returns: Also whether there is no way to go on without a new plan.
    mutating func budget(
        instead plan: ResidencyPlan
    ) -> (budget: MemoryBudget, isMust: Bool)? {
        guard let limit = groups.memoryLimit else { return nil }
        let before = pressure
        pressure = groups.memoryPressure
        if limit < plan.totalBytes { return (.under(limit), true) }
        guard pressure > before, let left = groups.memoryLeft(), left < plan.mappedHotBytes else {
            return nil
        }
        return (.under(max(0, plan.totalBytes - (plan.mappedHotBytes - left))), false)
    }
}
