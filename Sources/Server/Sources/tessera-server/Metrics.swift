import HTTPTypes
import Synchronization
import Tessera

/// Counts what the server does, and writes it in Prometheus' text form. DESIGN.md says why no package does.
final class Metrics: Sendable {
    private struct Counts {
        var requests: [Int: Int] = [:]
        var active = 0
        var promptTokens = 0
        var cachedTokens = 0
        var tokens = 0
        var passes = 0
        var drafted = 0
        var accepted = 0
        var firstTokens = 0
        var firstTokenSeconds = 0.0
    }

    private let counts = Mutex(Counts())
    private let slots: Int
    private let queue: Int
    private let connections = Atomic(0)

    init(slots: Int, queue: Int) { (self.slots, self.queue) = (slots, queue) }

    /// Notes that a connection was opened (1) or closed (-1).
    func connectionsChanged(by number: Int) { connections.add(number, ordering: .relaxed) }

    /// A request that is being answered or waits for a slot; it counts until it is released.
    final class Permit: Sendable {
        private let metrics: Metrics
        fileprivate init(_ metrics: Metrics) { self.metrics = metrics }
        deinit { metrics.counts.withLock { $0.active -= 1 } }
    }

    /// Counts a request until its permit is released.
    ///
    /// - Throws: ``Refusal`` with status 503 if the largest number of requests waits already.
    func admit() throws(Refusal) -> Permit {
        let isAdmitted = counts.withLock { counts in
            guard counts.active < slots + queue else { return false }
            counts.active += 1
            return true
        }
        guard isAdmitted else {
            throw Refusal(
                .serviceUnavailable,
                "\(slots + queue) requests are being answered or wait; try again later")
        }
        return Permit(self)
    }

    func ended(_ status: Int) { counts.withLock { $0.requests[status, default: 0] += 1 } }

    func firstToken(after seconds: Double) {
        counts.withLock {
            $0.firstTokens += 1
            $0.firstTokenSeconds += seconds
        }
    }

    func answered(_ summary: Answer.Summary) {
        counts.withLock {
            $0.promptTokens += summary.promptTokens
            $0.cachedTokens += summary.cachedTokens
            $0.tokens += summary.tokens
            $0.passes += summary.passes
            $0.drafted += summary.draftedTokens
            $0.accepted += summary.acceptedTokens
        }
    }

    /// In Prometheus' text form.
    var text: String {
        let counts = counts.withLock { $0 }
        var lines: [String] = []
        func metric(_ name: String, _ kind: String, _ help: String, _ values: [(String, String)]) {
            lines.append("# HELP tessera_\(name) \(help)")
            lines.append("# TYPE tessera_\(name) \(kind)")
            lines += values.map { "tessera_\(name)\($0.0) \($0.1)" }
        }
        func number(_ name: String, _ kind: String, _ help: String, _ value: Int) {
            metric(name, kind, help, [("", "\(value)")])
        }
        metric(
            "requests_total", "counter", "Requests by status.",
            counts.requests.sorted { $0.key < $1.key }.map { ("{status=\"\($0)\"}", "\($1)") })
        number(
            "connections", "gauge", "Connections that are open.",
            connections.load(ordering: .relaxed))
        number("slots", "gauge", "Answers that are computed at a time.", slots)
        number(
            "requests_active", "gauge", "Requests being answered.", min(counts.active, slots))
        number(
            "requests_waiting", "gauge", "Requests that wait for a slot.",
            max(0, counts.active - slots))
        number("prompt_tokens_total", "counter", "Tokens of prompts.", counts.promptTokens)
        number(
            "cached_prompt_tokens_total", "counter", "Tokens of prompts that a cache held.",
            counts.cachedTokens)
        number("generated_tokens_total", "counter", "Tokens of answers.", counts.tokens)
        number(
            "answer_passes_total", "counter", "Passes that gave tokens, counted for each answer.",
            counts.passes)
        number("drafted_tokens_total", "counter", "Tokens guessed ahead.", counts.drafted)
        number(
            "accepted_tokens_total", "counter", "Guessed tokens that were right.", counts.accepted)
        metric(
            "time_to_first_token_seconds", "summary", "From a request to its first token.",
            [("_sum", "\(counts.firstTokenSeconds)"), ("_count", "\(counts.firstTokens)")])
        return lines.joined(separator: "\n") + "\n"
    }
}
