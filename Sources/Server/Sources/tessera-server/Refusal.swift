import HTTPTypes
import Hummingbird
import Tessera

/// Why a request is not answered, in the form that OpenAI's clients read.
struct Refusal: Error, HTTPResponseError {
    let status: HTTPResponse.Status
    let message: String
    /// The member of the request that is wrong.
    let member: String?

    init(_ status: HTTPResponse.Status, _ message: String, _ member: String? = nil) {
        (self.status, self.message, self.member) = (status, message, member)
    }

    init(_ error: any Error) {
        switch error {
        case let refusal as Refusal: self = refusal
        case let error as ModelError:
            switch error.reason {
            case .tooLong, .badOption, .noChat: self.init(.badRequest, error.description)
            case .busy, .noMemory: self.init(.serviceUnavailable, error.description)
            case .unreadable, .damaged: self.init(.internalServerError, error.description)
            }
        case is CancellationError: self.init(.init(code: 499), "the client left")
        case let error as HTTPError: self.init(error.status, error.body ?? "\(error.status)")
        default: self.init(.badRequest, "the request is not JSON of the expected form")
        }
    }

    struct Body: Encodable {
        struct Fields: Encodable {
            var message: String
            var type: String
            var param: String?
            var code: Int
        }
        var error: Fields
    }

    var body: Body {
        let type = status.kind == .serverError ? "server_error" : "invalid_request_error"
        return Body(error: .init(message: message, type: type, param: member, code: status.code))
    }

    func response(from request: Request, context: some RequestContext) throws -> Response {
        var response = try JSON.response(body, status)
        if status == .serviceUnavailable { response.headers[.retryAfter] = "1" }
        if status == .unauthorized { response.headers[.wwwAuthenticate] = "Bearer" }
        return response
    }
}
