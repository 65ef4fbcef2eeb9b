import HTTPTypes
import Hummingbird
import NIOCore

/// The page at `/`, Resources/page.html: a conversation in a browser. It loads nothing from other servers.
enum Page {
    static var response: Response {
        Response(
            status: .ok,
            headers: [
                .contentType: "text/html; charset=utf-8",
                .contentSecurityPolicy:
                    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
            ],
            body: .init(byteBuffer: html))
    }

    private static let html = ByteBuffer(bytes: PackageResources.page_html)
}
