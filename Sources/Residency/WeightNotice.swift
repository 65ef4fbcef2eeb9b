/// Events of weights between passes that are no errors.
public enum WeightNotice: Sendable, Equatable {
    /// The file was written to, or its times were set; the tiles that were checked are unchanged.
    case fileTouched(path: String, checked: Int, of: Int)
    /// A control group allows less memory than before; this is the new plan.
    case memoryLowered(ResidencyPlan)
}
