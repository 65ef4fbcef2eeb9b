import HTTPTypes
import Hummingbird
import NIOCore
import Synchronization
import Tessera

/// The server's routes.
struct Service: Sendable {
    let model: Model
    let metrics: Metrics
    let maxBody: Int
    private let start = UnixTime.now

    init(_ model: Model, slots: Int, queue: Int, maxBody: Int) {
        (self.model, self.maxBody) = (model, maxBody)
        metrics = Metrics(slots: slots, queue: queue)
    }

    func router(apiKey: String?) -> Router<BasicRequestContext> {
        let router = Router()
        router.add(middleware: Errors(metrics: metrics))
        router.get("/") { _, _ in Page.response }
        router.get("/health") { _, _ in try JSON.response(["status": "ok"]) }
        let guarded = router.group()
        if let apiKey { guarded.add(middleware: KeyCheck(key: apiKey)) }
        guarded.get("/metrics") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4"],
                body: .init(byteBuffer: ByteBuffer(string: metrics.text)))
        }
        guarded.get("/v1/models") { _, _ in try JSON.response(Models(data: [about])) }
        guarded.get("/v1/models/:name") { _, context in
            guard context.parameters.get("name") == model.name else {
                throw Refusal(.notFound, "there is no such model; see /v1/models")
            }
            return try JSON.response(about)
        }
        guarded.post("/v1/chat/completions") { request, _ in
            try await answer(request, isChat: true)
        }
        guarded.post("/v1/completions") { request, _ in try await answer(request, isChat: false) }
        guarded.post("/tokenize") { request, _ in
            let asked = try JSON.decode(Text.self, try await body(of: request))
            return try JSON.response(["tokens": model.tokenize(asked.content)])
        }
        guarded.post("/detokenize") { request, _ in
            let asked = try JSON.decode(Ids.self, try await body(of: request))
            guard let bytes = model.detokenize(asked.tokens) else {
                throw Refusal(.badRequest, "'tokens' has an id outside the vocabulary", "tokens")
            }
            return try JSON.response(["content": String(decoding: bytes, as: UTF8.self)])
        }
        return router
    }

    private struct Text: Decodable { var content: String }
    private struct Ids: Decodable { var tokens: [Int] }

    private struct Models: Encodable {
        var object = "list"
        var data: [About]
    }

    private struct About: Encodable {
        var id: String
        var object = "model"
        var created: Int
        var owner = "tessera"
        var contextLength: Int

        enum CodingKeys: String, CodingKey {
            case id, object, created
            case owner = "owned_by"
            case contextLength = "context_length"
        }
    }

    private var about: About {
        About(id: model.name, created: start, contextLength: model.contextLength)
    }

    private func body(of request: Request) async throws -> ByteBuffer {
        var request = request
        return try await collect(&request)
    }

    /// The body, which stays with the request: a client that leaves is noticed by it. Its size has been looked at
    /// while it came.
    private func collect(_ request: inout Request) async throws -> ByteBuffer {
        try await request.collectBody(upTo: maxBody)
    }

    /// Listening for clients that leave uses the connection up. Clients are told, or they would send their next
    /// request into a connection that is being closed.
    private static let close = "close"

    private func answer(_ request: Request, isChat: Bool) async throws -> Response {
        var request = request
        let asked = try Asked(try await collect(&request))
        let permit = try metrics.admit()
        let answering = try Answering(model, asked, isChat: isChat, metrics)
        guard asked.streams else {
            defer { withExtendedLifetime(permit) {} }
            // A client that leaves ends its answers.
            let completion = try await request.body.consumeWithCancellationOnInboundClose { _ in
                try await answering.whole()
            }
            var response = try JSON.response(completion)
            response.headers[.connection] = Self.close
            return response
        }
        let body = request.body
        return Response(
            status: .ok,
            headers: [
                .contentType: "text/event-stream", .cacheControl: "no-cache",
                .connection: Self.close,
            ],
            body: ResponseBody { writer in
                defer { withExtendedLifetime(permit) {} }
                let (events, source) = AsyncStream.makeStream(of: String.self)
                async let sent: Void = body.consumeWithCancellationOnInboundClose { _ in
                    defer { source.finish() }
                    do {
                        try await answering.stream { part in
                            source.yield(try JSON.encode(part))
                        }
                        source.yield("[DONE]")
                    } catch is CancellationError {
                        throw CancellationError()
                    } catch {
                        // The status is on its way already.
                        source.yield(try JSON.encode(Refusal(error).body))
                    }
                }
                for await event in events {
                    try await writer.write(ByteBuffer(string: "data: \(event)\n\n"))
                }
                try await sent
                try await writer.finish(nil)
            })
    }
}

/// Turns errors into answers, and counts them.
private struct Errors: RouterMiddleware {
    let metrics: Metrics

    func handle(
        _ request: Request, context: BasicRequestContext,
        next: (Request, BasicRequestContext) async throws -> Response
    ) async throws -> Response {
        let response: Response
        do {
            response = try await next(request, context)
        } catch {
            let refusal = Refusal(error)
            response = try refusal.response(from: request, context: context)
        }
        metrics.ended(response.status.code)
        return response
    }
}

/// Lets only those in who know the key.
private struct KeyCheck: RouterMiddleware {
    let key: String

    func handle(
        _ request: Request, context: BasicRequestContext,
        next: (Request, BasicRequestContext) async throws -> Response
    ) async throws -> Response {
        guard isKnown(request.headers[.authorization] ?? "") else {
            throw Refusal(.unauthorized, "the request lacks the server's key")
        }
        return try await next(request, context)
    }

    /// Compares all bytes, so that the time does not tell how many are right.
    private func isKnown(_ header: String) -> Bool {
        let (given, known) = (Array(header.utf8), Array("Bearer \(key)".utf8))
        var difference = given.count == known.count ? 0 : 1
        for (index, byte) in known.enumerated() {
            difference |= Int(byte ^ (index < given.count ? given[index] : 0))
        }
        return difference == 0
    }
}
