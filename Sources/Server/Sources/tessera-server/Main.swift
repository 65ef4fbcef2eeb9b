public import ArgumentParser
import FoundationEssentials
import Hummingbird
import Logging
import ServiceLifecycle
public import Tessera
import UnixSignals

extension ByteSize: @retroactive ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

/// Serves a model to other programs, by the interface that OpenAI's clients speak.
@main struct Server: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tessera-server",
        abstract: "Serves a model over HTTP with OpenAI's interface.",
        discussion: """
            Listens on this machine only, unless --host says otherwise. Requests that come together share passes, \
            which read the weights once. A prompt that begins like an earlier one is computed from where they \
            differ. SIGTERM and Ctrl-C let running answers end first.

            Examples:
              tessera-server model.tsr
              tessera-server model.tsr --slots 8 --ram 3G --port 8080
              tessera-server model.tsr --lookup-text answers.txt
              curl http://127.0.0.1:8080/v1/chat/completions -d '{"messages": [{"role": "user", "content": "Hi"}]}'
            """)

    @Argument(help: "A .tsr file.", completion: .file(extensions: ["tsr"]))
    var model: String

    @Option(help: "The address to listen on.")
    var host = "127.0.0.1"

    @Option(help: "The port to listen on; 0 takes a free one.")
    var port = 8080

    @Option(help: "Answers that are computed at a time, 1 to 64.")
    var slots = 4

    @Option(help: "Requests that may wait for a slot; further ones get status 503.")
    var queue = 64

    @Option(
        help:
            "Clients must send this key as 'Authorization: Bearer KEY' (default: TESSERA_API_KEY).")
    var apiKey: String?

    @Option(name: .customLong("ctx"), help: "Positions of the context of each slot.")
    var context: Int?

    @Option(name: .shortAndLong, help: "Threads that compute.")
    var threads: Int?

    @Option(
        help: ArgumentHelp(
            "Memory to take at most, such as 2.5G or 800M; weights beyond it are read in each pass.",
            valueName: "size"))
    var ram: ByteSize?

    @Option(
        help: ArgumentHelp(
            """
            Where drafts come from; answers do not depend on it: auto, lookup, off, or MODEL.tsr, a smaller model \
            with the same vocabulary or a block drafter made for this one.
            """, valueName: "source"), completion: .file(extensions: ["tsr"]))
    var draft = "auto"

    @Option(
        help: ArgumentHelp(
            "Look drafts up in this text too, such as earlier outputs. Answers do not depend on it.",
            valueName: "file"), completion: .file())
    var lookupText: String?

    @Option(help: "A chat template in this file, instead of the model's own.", completion: .file())
    var chatTemplate: String?

    @Option(
        help: ArgumentHelp(
            "Folder that keeps the beginnings of prompts, so that later runs need not compute them; off: none.",
            valueName: "folder"), completion: .directory)
    var promptCache: String?

    @Option(help: ArgumentHelp("Largest size of that folder, such as 4G.", valueName: "size"))
    var promptCacheSize: ByteSize?

    @Option(help: "Largest request in bytes.")
    var maxBody = 4 << 20

    @Option(
        help:
            "Connections at a time; beyond it, those that have waited longest without a request are closed."
    )
    var connections = 1000

    @Option(
        help:
            "Seconds in which a request must have come, and for which a client may leave its answer unread."
    )
    var timeout = 60

    @Option(help: "Seconds that running answers get after SIGTERM.")
    var drain = 30

    func validate() throws {
        guard (1...64).contains(slots) else { throw ValidationError("--slots takes 1 to 64") }
        guard (0...65536).contains(queue) else { throw ValidationError("--queue takes 0 to 65536") }
        guard (0...65535).contains(port) else { throw ValidationError("--port takes 0 to 65535") }
        _ = try drafts()
        if let doubt = ram?.doubt { throw ValidationError("--ram \(ram?.text ?? "") \(doubt)") }
        if let doubt = promptCacheSize?.doubt {
            throw ValidationError("--prompt-cache-size \(promptCacheSize?.text ?? "") \(doubt)")
        }
        guard (16...1 << 20).contains(connections) else {
            throw ValidationError("--connections takes 16 to 1048576")
        }
        guard maxBody >= 1024 else { throw ValidationError("--max-body takes 1024 or more") }
        guard timeout >= 1, drain >= 0 else {
            throw ValidationError("--timeout takes 1 or more, --drain 0 or more")
        }
    }

    private func drafts() throws -> Model.Options.Drafts {
        switch draft {
        case "auto": .auto
        case "lookup": .lookup
        case "off": .off
        case let path where path.hasSuffix(".tsr"): .model(path)
        default: throw ValidationError("--draft takes auto, lookup, off or a .tsr file")
        }
    }

    /// The text of a file that an option names.
    private static func text(_ option: String, _ path: String?) throws -> String? {
        guard let path else { return nil }
        do {
            return try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            StandardError.write(
                "tessera-server: \(option): '\(path)' cannot be read as UTF-8 text\n")
            throw ExitCode(66)
        }
    }

    private static let logger: Logger = {
        var logger = Logger(label: "tessera-server") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .info
        return logger
    }()

    private func limits(_ metrics: Metrics) -> Connections {
        Connections(
            .init(
                count: ProcessLimits.allowFiles(connections), body: maxBody, bodies: 16 * maxBody,
                patience: .seconds(Int64(timeout))), metrics)
    }

    func run() async throws {
        ProcessLimits.ignoreFileSize()
        var options = Model.Options()
        (options.contextLength, options.memory) = (context, ram?.bytes)
        (options.threads, options.answers) = (threads, slots)
        options.drafts = try drafts()
        options.lookupText = try Self.text("--lookup-text", lookupText)
        options.chatTemplate = try Self.text("--chat-template", chatTemplate)
        options.promptCache =
            promptCache == "off"
            ? nil : promptCache.map { Model.Options.PromptCache(folder: $0) } ?? .standard
        if let promptCacheSize { options.promptCache?.limit = promptCacheSize.bytes }
        let logger = Self.logger
        let loaded: Model
        do {
            loaded = try await Model.load(model, options: options) { logger.warning("\($0)") }
        } catch {
            StandardError.write("tessera-server: \(error)\n")
            throw ExitCode(error.reason == .badOption ? 64 : error.reason == .unreadable ? 66 : 65)
        }
        let key = apiKey ?? Environment().get("TESSERA_API_KEY")
        let service = Service(loaded, slots: slots, queue: queue, maxBody: maxBody)
        let connections = limits(service.metrics)
        let (name, context) = (loaded.name, loaded.contextLength)
        let application = Application(
            responder: service.router(apiKey: key.flatMap { $0.isEmpty ? nil : $0 })
                .buildResponder(),
            server: .http1(
                configuration: .init(additionalChannelHandlers: [connections.handler()])),
            configuration: .init(address: .hostname(host, port: port), serverName: "tessera"),
            onServerRunning: { [logger] channel in
                let place = channel.localAddress
                logger.info(
                    "\(name) listens on http://\(place?.ipAddress ?? "?"):\(place?.port ?? 0), context \(context)"
                )
            },
            logger: logger)
        var group = ServiceGroupConfiguration(
            services: [application], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        group.maximumGracefulShutdownDuration = .seconds(drain)
        do {
            try await ServiceGroup(configuration: group).run()
        } catch {
            await loaded.savePrompts()
            throw error
        }
        await loaded.savePrompts()
    }
}
