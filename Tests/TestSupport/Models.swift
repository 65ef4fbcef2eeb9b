import Foundation

/// Models and files of the repository that commands are tried on.
public enum Models {
    private static let tests = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()

    /// A tiny Llama as a Hugging Face folder.
    public static let folder = path("Tests/TransformerTests/Resources/llama")

    /// The same as a GGUF file.
    public static let gguf = path("Tests/TransformerTests/Resources/llama.gguf")

    /// The model that comes with the program.
    public static let standard = path("Sources/tessera/Resources/default.tsr")

    /// A path of the repository.
    public static func path(_ relative: String) -> String {
        tests.deletingLastPathComponent().appending(path: relative).standardizedFileURL.path
    }
}
