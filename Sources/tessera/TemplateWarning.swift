internal import TesseraChatTemplates
internal import TesseraImport

extension QuantizeCommand {
    /// Warns at once, not at the first conversation, that the chat template cannot be used.
    func warnAboutTemplate(_ source: any TensorSource) {
        guard let problem = source.chatTemplate.flatMap(ChatTemplate.problem) else { return }
        Terminal.note("note: \(problem); '--chat' and 'tessera chat' will not work")
    }
}
