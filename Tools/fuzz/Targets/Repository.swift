/// The checkout that this program was built from, where the seeds lie.
enum Repository {
    static let path = #filePath.split(separator: "/").dropLast(4).reduce("") { "\($0)/\($1)" }

    static func file(_ name: String) -> [UInt8] { InputFolder.read("\(path)/\(name)") }

    /// The files of a folder with an ending.
    static func files(_ folder: String, _ ending: String) -> [[UInt8]] {
        InputFolder.names(in: "\(path)/\(folder)").filter { $0.hasSuffix(ending) }.map {
            file("\(folder)/\($0)")
        }
    }
}
