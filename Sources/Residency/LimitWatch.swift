internal import TesseraMachine

/// Notices when control groups allow less memory than a plan takes.
struct LimitWatch {
    private let groups: ControlGroups
    /// Times that a limit had been reached at the last look.
    private var pressure: Int

    init(_ groups: ControlGroups = .own) {
        self.groups = groups
        pressure = groups.memoryPressure
    }

    /// The budget of a new plan; nil: the old plan may stay.
    ///
    /// A limit below the plan's bytes was lowered after the plan was made. If a limit is reached again and again,
    /// other programs may have taken memory that the plan counts on. Then the kernel drops pages of weights that
    /// should stay, and every pass reads them again.
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
