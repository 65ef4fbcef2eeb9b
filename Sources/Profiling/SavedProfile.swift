public import TesseraKernels
internal import TesseraReporting
internal import TesseraMachine

/// The output of `tessera profile --json`, read again.
public struct SavedProfile: Sendable, Equatable {
    public var path = ""
    public var model = ""
    public var isa = ""
    public var threads = 0
    public var kind = ""
    public var logits = ""
    /// Texts in each pass, and the source of drafts; empty where there was none.
    public var sequences = 1
    public var draft = ""
    public var peakRSS = 0.0
    public var loadSeconds = 0.0
    public var firstTokenSeconds = 0.0
    public var limits = MachineLimits(readBytesPerSecond: 0, int8MacsPerSecond: 0)
    public var passes: [Pass] = []

    public init() {}

    /// Times of one size of pass.
    public struct Pass: Sendable, Equatable {
        public var positions: Int
        public var context: Int
        public var seconds: Distribution
        public init(positions: Int, context: Int, seconds: Distribution) {
            self.positions = positions
            self.context = context
            self.seconds = seconds
        }
    }

    public init(path: String) throws(ProfilingError) {
        guard let text = SystemFile.text(path) else { throw .unreadable(path, code: 0) }
        let root: JSONValue
        do throws(JSONParser.Failure) {
            root = try JSONParser.parse(Array(text.utf8))
        } catch {
            throw .notAProfile(path, "\(error.reason) at byte \(error.offset)")
        }
        self.path = path
        guard let list = root["passes"]?.array else { throw .notAProfile(path, "no passes") }
        model = root["model"]?.string ?? ""
        isa = root["isa"]?.string ?? ""
        threads = root["threads"]?.int ?? 0
        kind = root["kind"]?.string ?? ""
        logits = root["logits"]?.string ?? ""
        sequences = root["sequences"]?.int ?? 1
        draft = root["draft"]?.string ?? ""
        peakRSS = root["peak_rss_bytes"]?.double ?? 0
        loadSeconds = root["load_seconds"]?.double ?? 0
        firstTokenSeconds = root["first_token_seconds"]?.double ?? 0
        limits.readBytesPerSecond = root["limits"]?["read_bytes_per_second"]?.double ?? 0
        limits.int8MacsPerSecond = root["limits"]?["int8_macs_per_second"]?.double ?? 0
        for item in list {
            let samples = item["samples_ns"]?.array?.compactMap { $0.double.map { $0 * 1e-9 } }
            guard let positions = item["positions"]?.int, let context = item["context"]?.int,
                let samples, !samples.isEmpty, samples.allSatisfy({ $0 > 0 })
            else { throw .notAProfile(path, "a pass without its times") }
            passes.append(
                Pass(positions: positions, context: context, seconds: Distribution(samples)))
        }
    }
}
