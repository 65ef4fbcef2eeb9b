internal import ArgumentParser
internal import TesseraChatTemplates
internal import TesseraDecoding
internal import Glibc
internal import TesseraGrammars
internal import TesseraImport
internal import TesseraKernels
internal import TesseraProfiling
internal import TesseraQuantization
internal import TesseraResidency
internal import Tessera
internal import TesseraTokenization
internal import TesseraTransformer
internal import TesseraWeightFile

/// Exit statuses, those of sysexits.h where one fits.
enum ExitStatus: Int32 {
    case failure = 1
    case usage = 64
    case badData = 65
    case noInput = 66
    case internalError = 70
    case osError = 71
    case cannotCreate = 73
    case ioError = 74
    case hungUp = 129
    case interrupted = 130
    /// The reader of standard output went away.
    case brokenPipe = 141
    case terminated = 143

    /// Ends the program from any place and thread, with nothing left half written.
    func end() -> Never {
        TemporaryFiles.removeAll()
        exit(rawValue)
    }
}

/// An error of the command line itself.
struct CommandError: Error, CustomStringConvertible {
    var status: ExitStatus
    var description: String

    init(_ status: ExitStatus, _ description: String) {
        self.status = status
        self.description = description
    }
}

/// Runs `body`; an error becomes one line on stderr and the exit status that fits it.
func reportingErrors(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let code as ExitCode {
        throw code
    } catch let error as ValidationError {
        throw error
    } catch {
        Terminal.note("tessera: \(ForeignModel.advice(for: error) ?? "\(error)")")
        throw ExitCode(status(of: error).rawValue)
    }
}

private func status(of error: any Error) -> ExitStatus {
    switch error {
    case let error as CommandError: error.status
    case let error as WeightFileError:
        switch error {
        case .invalid, .sizeChanged: .badData
        case .notAFile: .noInput
        case .system(.open, _, _): .noInput
        case .system(.create, _, _), .inUse, .badPlace: .cannotCreate
        case .isInput: .usage
        case .system: .ioError
        case .unwritable, .wrongLength: .badData
        }
    case let error as ImportError:
        switch error {
        case .notFound: .noInput
        case .unreadable: .ioError
        case .unknownSynthetic: .usage
        default: .badData
        }
    case let error as QuantizationError:
        switch error {
        case .badOverride: .usage
        case .cancelled: Interruption.status
        default: .badData
        }
    case let error as ProfilingError:
        switch error {
        case .unreadable, .emptyFile: .noInput
        case .notAProfile, .notAMachine: .badData
        case .cancelled: Interruption.status
        default: .usage
        }
    case let error as LogitFileError:
        switch error {
        case .unreadable: .noInput
        case .damaged: .badData
        case .cutShort: .ioError
        }
    case DecodingError.pass(let error): status(of: error)
    case TransformerError.residency(.unreadable), TransformerError.residency(.lost): .ioError
    case TransformerError.residency(.noMemory), TransformerError.residency(.noThreads): .osError
    case TransformerError.damagedWeights: .ioError
    case DecodingError.notFinite: .badData
    case is ModelError: .badData
    case SavedTextError.file(let error): status(of: error)
    case is SavedTextError: .badData
    case is KernelError, is TransformerError, is DecodingError: .usage
    case is TokenizerError, is TemplateError, is GrammarError: .badData
    default: .failure
    }
}
