internal import Glibc
internal import TesseraWeightFile

/// The model that commands use where none is named.
enum DefaultModel {
    /// Whether the user has named one.
    static var isNamed: Bool { !(Terminal.environment("TESSERA_MODEL") ?? "").isEmpty }

    static let description = """
        No model was named: this is the small one that comes with the program. It solves word problems,
        such as "Maria has 66 cookies. She buys 8 more. How many cookies does Maria have now?", and
        nothing else. Name a .tsr file to talk with another.
        """

    /// The file named by `TESSERA_MODEL`, or the one that comes with the program.
    static func path() throws -> String {
        if let path = Terminal.environment("TESSERA_MODEL"), !path.isEmpty { return path }
        guard let program = SymbolicLink.target(of: "/proc/self/exe"),
            let found = installed(with: program), belongs(found, to: program)
        else {
            throw CommandError(
                .noInput,
                "no model: name a .tsr file, or set TESSERA_MODEL; "
                    + "'tessera quantize' makes one from a Hugging Face folder or a .gguf file")
        }
        return found
    }

    /// Where the model of a program is: `PREFIX/share/tessera` of `PREFIX/bin`, or the resources of the
    /// checkout whose `.build` holds the program. Nowhere else, so that no stranger's file is taken.
    private static func installed(with program: String) -> String? {
        var folders = program.split(separator: "/").dropLast()
        if folders.last == "bin" {
            let prefix = folders.dropLast().map { "/\($0)" }.joined()
            return "\(prefix)/share/tessera/default.tsr"
        }
        while let folder = folders.popLast() {
            guard folder == ".build" else { continue }
            return folders.map { "/\($0)" }.joined() + "/Sources/tessera/Resources/default.tsr"
        }
        return nil
    }

    /// Whether the file belongs to the owner of the program, or to root.
    private static func belongs(_ file: String, to program: String) -> Bool {
        var (mine, theirs) = (stat(), stat())
        guard unsafe stat(program, &mine) == 0, unsafe stat(file, &theirs) == 0 else {
            return false
        }
        return theirs.st_uid == mine.st_uid || theirs.st_uid == 0
    }
}
