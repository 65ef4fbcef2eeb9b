/// Offers looked-up drafts where they promise more than the drafts of a second model or a drafter, which take time.
///
/// A looked-up draft costs nothing and promises L right tokens. The model's promise M and take D seconds,
/// worth r D tokens at the rate r at which tokens come. So the looked-up draft is taken if L >= M - r D, and the
/// model makes none.
public final class CombinedDrafts: DraftSource {
    public var name: String { model.name }
    private let lookup: LookupSource
    private let model: any CostlySource

    public init(_ lookup: LookupSource, _ model: any CostlySource) {
        (self.lookup, self.model) = (lookup, model)
    }

    public func draft(_ request: DraftRequest, into draft: inout Draft) throws(DecodingError) {
        lookup.draft(request, into: &draft)
        if let gain = model.gain, draft.expected > 0, draft.expected >= gain {
            return model.skip(request)
        }
        draft.clear()
        try model.draft(request, into: &draft)
    }
}
