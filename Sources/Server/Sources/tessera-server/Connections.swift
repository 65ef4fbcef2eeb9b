import HTTPTypes
import NIOCore
import NIOHTTPTypes
import Synchronization

/// Limits of all connections together, so that clients that send nothing keep nobody waiting.
///
/// With too many connections, it closes those that have waited longest for a request. A connection with a request stays.
final class Connections: Sendable {
    struct Limits: Sendable {
        /// Connections at a time.
        var count: Int
        /// Bytes of one request's body, and bytes of the bodies of all requests that are not answered yet.
        var body: Int
        var bodies: Int
        /// Time for a whole request to arrive, and for a client to read its answer.
        var patience: TimeAmount
    }

    let limits: Limits
    private let state = Mutex(State())
    private let metrics: Metrics

    private struct State {
        var next: UInt64 = 0
        var count = 0
        var bytes = 0
        /// Connections that wait for a request, by ticket, and the tickets in their order.
        var waiting: [UInt64: any Channel] = [:]
        var order: ArraySlice<UInt64> = []
    }

    init(_ limits: Limits, _ metrics: Metrics) { (self.limits, self.metrics) = (limits, metrics) }

    /// A handler for a new connection.
    func handler() -> any RemovableChannelHandler { ConnectionHandler(self) }

    fileprivate func opened() {
        let excess = state.withLock { state -> (any Channel)? in
            state.count += 1
            guard state.count > limits.count else { return nil }
            while let ticket = state.order.popFirst() {
                if let channel = state.waiting.removeValue(forKey: ticket) { return channel }
            }
            return nil
        }
        metrics.connectionsChanged(by: 1)
        excess?.close(promise: nil)
    }

    fileprivate func closed() {
        state.withLock { $0.count -= 1 }
        metrics.connectionsChanged(by: -1)
    }

    /// - Returns: A ticket, until there is a request.
    fileprivate func waits(_ channel: any Channel) -> UInt64 {
        state.withLock { state in
            state.next += 1
            state.waiting[state.next] = channel
            state.order.append(state.next)
            // Drops tickets that are no longer used.
            if state.order.count > 2 * state.waiting.count + 64 {
                state.order = ArraySlice(state.order.filter { state.waiting[$0] != nil })
            }
            return state.next
        }
    }

    fileprivate func stopsWaiting(_ ticket: UInt64) {
        _ = state.withLock { $0.waiting.removeValue(forKey: ticket) }
    }

    /// Counts bytes of a body; false if all bodies together have too many.
    fileprivate func take(_ bytes: Int) -> Bool {
        state.withLock { state in
            guard state.bytes + bytes <= limits.bodies else { return false }
            state.bytes += bytes
            return true
        }
    }

    fileprivate func release(_ bytes: Int) {
        if bytes > 0 { state.withLock { $0.bytes -= bytes } }
    }

    fileprivate func note(_ refusal: Refusal) { metrics.ended(refusal.status.code) }
}

/// One connection: ends it where a request does not come in time, is too large, or its answer is not read.
private final class ConnectionHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let connections: Connections
    private var ticket: UInt64?
    /// Requests that have come whole and are not answered yet.
    private var unanswered = 0
    /// Whether the head of a request has come, but not its end.
    private var isInRequest = false
    private var hadRequest = false
    private var isAnswerBegun = false
    /// Whether nothing more is read.
    private var isEnding = false
    private var isCounted = false
    /// Bytes of bodies that are not answered.
    private var bytes = 0
    private var bodyBytes = 0
    /// Bytes that came after the end was decided.
    private var thrownAway = 0
    private var deadline: Scheduled<Void>?
    private var stall: Scheduled<Void>?

    /// Requests that a client may send ahead of their answers. One buffer of more would keep its thread busy for long.
    private static let mostUnanswered = 16
    /// How long a connection stays open after its last answer, so that the client has time to read it.
    private static let farewell = TimeAmount.seconds(2)

    init(_ connections: Connections) { self.connections = connections }

    func handlerAdded(context: ChannelHandlerContext) {
        isCounted = true
        connections.opened()
        wait(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) { forget() }

    func channelInactive(context: ChannelHandlerContext) {
        forget()
        context.fireChannelInactive()
    }

    private func forget() {
        stopWaiting()
        stall?.cancel()
        stall = nil
        connections.release(bytes)
        bytes = 0
        if isCounted { connections.closed() }
        isCounted = false
    }

    // MARK: Waiting for a request

    private func wait(_ context: ChannelHandlerContext) {
        stopWaiting()
        ticket = connections.waits(context.channel)
        deadline = schedule(context) { handler, context in handler.tooLate(context) }
    }

    private func stopWaiting() {
        deadline?.cancel()
        deadline = nil
        if let ticket { connections.stopsWaiting(ticket) }
        ticket = nil
    }

    private func schedule(
        _ context: ChannelHandlerContext, after time: TimeAmount? = nil,
        _ body: @escaping (ConnectionHandler, ChannelHandlerContext) -> Void
    ) -> Scheduled<Void> {
        context.eventLoop.assumeIsolated().scheduleTask(
            in: time ?? connections.limits.patience
        ) { [self] in
            guard isCounted else { return }
            body(self, context)
        }
    }

    private func tooLate(_ context: ChannelHandlerContext) {
        // A connection that waits for a further request is closed without an answer.
        guard !hadRequest || isInRequest, !isAnswerBegun else { return context.close(promise: nil) }
        let seconds = connections.limits.patience.nanoseconds / 1_000_000_000
        refuse(
            Refusal(.requestTimeout, "the request did not come whole within \(seconds) seconds"),
            context)
    }

    // MARK: Requests

    func read(context: ChannelHandlerContext) {
        // A client that keeps sending has to wait until the connection is closed.
        if !isEnding || thrownAway < connections.limits.bodies { context.read() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isEnding else {
            if case .body(let part) = unwrapInboundIn(data) { thrownAway += part.readableBytes }
            return
        }
        switch unwrapInboundIn(data) {
        case .head(let head):
            guard unanswered < Self.mostUnanswered else { return refuse(tooLarge, context) }
            (isInRequest, hadRequest, bodyBytes) = (true, true, 0)
            if unanswered == 0 { isAnswerBegun = false }
            let length = head.headerFields[.contentLength].flatMap { Int($0) } ?? 0
            guard length <= connections.limits.body else { return refuse(tooLarge, context) }
        case .body(let part):
            bodyBytes += part.readableBytes
            guard bodyBytes <= connections.limits.body else { return refuse(tooLarge, context) }
            guard connections.take(part.readableBytes) else {
                return refuse(
                    Refusal(.serviceUnavailable, "too many bytes of requests wait; try again"),
                    context)
            }
            bytes += part.readableBytes
        case .end:
            isInRequest = false
            unanswered += 1
            stopWaiting()
        }
        context.fireChannelRead(data)
    }

    private var tooLarge: Refusal {
        Refusal(.contentTooLarge, "the request has more than \(connections.limits.body) bytes")
    }

    /// Answers in place of a route, and ends the connection; if another answer is being sent, it only ends the connection.
    private func refuse(_ refusal: Refusal, _ context: ChannelHandlerContext) {
        stopWaiting()
        isEnding = true
        guard unanswered == 0, !isAnswerBegun, let text = try? JSON.encode(refusal.body) else {
            return context.close(promise: nil)
        }
        connections.note(refusal)
        let body = context.channel.allocator.buffer(string: text + "\n")
        var head = HTTPResponse(status: refusal.status)
        head.headerFields[.contentType] = "application/json"
        head.headerFields[.contentLength] = String(body.readableBytes)
        head.headerFields[.connection] = "close"
        if refusal.status == .serviceUnavailable { head.headerFields[.retryAfter] = "1" }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(body)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        end(context)
    }

    /// Closes when the client has had time to read the answer. Bytes that it sends until then are dropped: closing
    /// at once could destroy the answer on its way.
    private func end(_ context: ChannelHandlerContext) {
        isEnding = true
        stopWaiting()
        context.close(mode: .output, promise: nil)
        deadline = schedule(context, after: Self.farewell) { _, context in
            context.close(promise: nil)
        }
    }

    // MARK: Answers

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(var head):
            isAnswerBegun = true
            guard isInRequest, unanswered == 0 else { break }
            // Answered before it came whole: the rest of it is not read.
            head.headerFields[.connection] = "close"
            return context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .body: break
        case .end:
            guard unanswered > 0 else {
                context.writeAndFlush(data, promise: promise)
                return end(context)
            }
            unanswered -= 1
            isAnswerBegun = false
            if unanswered == 0, !isInRequest {
                connections.release(bytes)
                bytes = 0
                wait(context)
            }
        }
        context.write(data, promise: promise)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        stall?.cancel()
        stall = nil
        if !context.channel.isWritable {
            stall = schedule(context) { _, context in context.close(promise: nil) }
        }
        context.fireChannelWritabilityChanged()
    }
}
