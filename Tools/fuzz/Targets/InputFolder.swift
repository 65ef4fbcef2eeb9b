import Glibc

/// A folder of this process for the files that a target reads; removed when the process ends.
struct InputFolder: Sendable {
    let path: String

    init(_ name: String) {
        let root = Self.root
        path = root + "/" + name
        mkdir(path, 0o700)
    }

    /// Writes a file of this folder.
    ///
    /// - Parameter size: The file's size, where it is more than `bytes`: the rest is a hole of zeros.
    /// - Returns: The file's path.
    @discardableResult
    func write(_ bytes: some Collection<UInt8>, to name: String, size: Int = 0) -> String {
        let file = path + "/" + name
        Self.write(Array(bytes), to: file, size: size)
        return file
    }

    static func write(_ bytes: [UInt8], to path: String, size: Int = 0) {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        precondition(file >= 0, "\(path) cannot be written")
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(file, $0.baseAddress! + done, $0.count - done)
            }
            precondition(count > 0, "\(path) cannot be written")
            done += count
        }
        precondition(size <= bytes.count || ftruncate(file, size) == 0)
        close(file)
    }

    /// All of a file; nothing if there is none.
    static func read(_ path: String) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return [] }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: Int(lseek(file, 0, SEEK_END)))
        let count = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, 0) }
        bytes.removeLast(bytes.count - max(0, count))
        return bytes
    }

    static func remove(_ path: String) { unlink(path) }

    /// The names in a folder, in order.
    static func names(in path: String) -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    private static let root: String = {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        let path = "\(parent)/tessera-fuzz-\(getpid())"
        precondition(mkdir(path, 0o700) == 0 || errno == EEXIST, "\(path) cannot be made")
        atexit { InputFolder.removeAll() }
        return path
    }()

    /// Folders of inputs hold files, and no folders.
    private static func removeAll() {
        for name in names(in: root) {
            for file in names(in: "\(root)/\(name)") { unlink("\(root)/\(name)/\(file)") }
            rmdir("\(root)/\(name)")
        }
        rmdir(root)
    }
}
