internal import TesseraChatTemplates
internal import TesseraChat
internal import TesseraDecoding
internal import TesseraKernels
internal import TesseraResidency
internal import TesseraTokenization
internal import TesseraTransformer
internal import TesseraWeightFile

/// Why a model cannot be used as asked. The description is one sentence that says what, where and what to
/// do.
public struct ModelError: Error, Sendable, CustomStringConvertible {
    public let reason: Reason
    public let description: String

    public enum Reason: Sendable, Equatable {
        /// There is no such file, or it cannot be read.
        case unreadable
        /// The file is damaged, or is not one that this version reads.
        case damaged
        /// An option outside its range, or one that this model or machine cannot do.
        case badOption
        /// Memory has no room for it.
        case noMemory
        /// The model has no chat template, or its template refuses the conversation.
        case noChat
        /// The text does not fit the context.
        case tooLong
        /// The session is answering.
        case busy
    }

    init(_ reason: Reason, _ description: String) {
        self.reason = reason
        self.description = description
    }

    /// - Parameter error: An error of the engine.
    init(_ error: any Error) {
        switch error {
        case let error as ModelError: self = error
        case DecodingError.pass(let error): self.init(error)
        default: self.init(Self.reason(of: error), "\(error)")
        }
    }

    private static func reason(of error: any Error) -> Reason {
        switch error {
        case WeightFileError.system, WeightFileError.notAFile: .unreadable
        case is WeightFileError, is TokenizerError, TransformerError.damagedWeights: .damaged
        case DecodingError.notFinite: .damaged
        case TransformerError.notEnoughMemory, TransformerError.noRoomForSequence,
            TransformerError.residency(.noMemory), TransformerError.residency(.noThreads):
            .noMemory
        case TransformerError.residency: .unreadable
        case is TemplateError, ConversationError.template: .noChat
        case ConversationError.tooLong, DecodingError.promptTooLong: .tooLong
        default: .badOption
        }
    }
}
