import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore

/// JSON in and out.
enum JSON {
    static func encode(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    static func response(
        _ value: some Encodable, _ status: HTTPResponse.Status = .ok
    ) throws -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(string: try encode(value) + "\n")))
    }

    /// - Throws: ``Refusal`` where the bytes are no JSON of the form.
    static func decode<Value: Decodable>(_ type: Value.Type, _ buffer: ByteBuffer) throws -> Value {
        // Foundation looks at bytes of strings only where they are asked for.
        guard String(validating: buffer.readableBytesView, as: UTF8.self) != nil else {
            throw Refusal(.badRequest, "the request is no valid JSON in UTF-8")
        }
        do {
            return try JSONDecoder().decode(type, from: Data(buffer.readableBytesView))
        } catch let refusal as Refusal {
            throw refusal
        } catch DecodingError.keyNotFound(let key, _) {
            throw Refusal(.badRequest, "'\(key.stringValue)' is missing", key.stringValue)
        } catch DecodingError.dataCorrupted {
            throw Refusal(.badRequest, "the request is not valid JSON in UTF-8")
        } catch {
            throw Refusal(.badRequest, "the request is not JSON of the expected form")
        }
    }
}
