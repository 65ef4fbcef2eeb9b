#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A place for a file to write, checked before any work is done for it.
///
/// Symbolic links are followed. A plain file is replaced when the new one is complete. Pipes and
/// character devices are never replaced: they get the bytes as they come, or are refused. Folders,
/// sockets and disks are refused.
public struct OutputPlace: Sendable, Equatable {
    /// What is there now.
    public enum Kind: Sendable, Equatable {
        case nothing, file, stream
        /// An open file of this process, such as /dev/stdout.
        case descriptor(Int32)
    }

    /// The name that the user gave.
    public let path: String
    public let kind: Kind
    /// The same place without symbolic links in the last part of its name.
    let target: String

    /// - Parameters:
    ///   - takesStreams: Whether a pipe or a device is accepted.
    ///   - inputs: Files and folders that are read meanwhile, and so must not be replaced.
    public init(
        _ path: String, takesStreams: Bool, inputs: [String] = []
    ) throws(WeightFileError) {
        guard !path.isEmpty else {
            throw .badPlace(path: "''", reason: "the name of the file to write is empty")
        }
        self.path = path
        target = try Self.following(path)
        kind = try Self.kind(target, path)
        if !takesStreams, !isReplaced {
            throw .badPlace(
                path: path,
                reason: "is a pipe or a device, which cannot hold this file; name a file")
        }
        for input in inputs where isPart(of: input) { throw .isInput(path: path) }
        if isReplaced { try checkFolder() }
    }

    /// Whether a new file takes the place; nothing or a plain file is there.
    var isReplaced: Bool { kind == .nothing || kind == .file }

    /// The name of the file while it is made, for this process alone.
    var temporaryPath: String { "\(target).\(getpid()).partial" }

    /// Bytes that a file may take here, including those of an earlier run's unfinished file; nil if the system
    /// does not tell.
    public var availableBytes: Int? {
        var volume = statvfs()
        guard unsafe statvfs(folder, &volume) == 0 else { return nil }
        var status = stat()
        let held = unsafe stat(keptPath, &status) == 0 ? Int(status.st_blocks) * 512 : 0
        return Int(volume.f_bavail) * Int(volume.f_frsize) + held
    }

    /// The name of an unfinished file that a later run may go on with.
    var keptPath: String { "\(target).partial" }

    /// The folder that holds the file, with its last slash.
    public var folder: String { Self.folder(target) }

    private static func folder(_ path: String) -> String {
        path.lastIndex(of: "/").map { String(path[...$0]) } ?? "./"
    }

    private static func following(_ path: String) throws(WeightFileError) -> String {
        var target = path
        for _ in 0..<40 {
            guard descriptor(target) == nil, let link = SymbolicLink.target(of: target) else {
                return target
            }
            target = link.hasPrefix("/") ? link : folder(target) + link
        }
        throw .system(operation: .create, path: path, code: ELOOP)
    }

    /// The number of an open file that a path of the kernel names.
    private static func descriptor(_ path: String) -> Int32? {
        for folder in ["/proc/self/fd/", "/dev/fd/"] where path.hasPrefix(folder) {
            return Int32(path.dropFirst(folder.count))
        }
        return nil
    }

    private static func kind(_ target: String, _ path: String) throws(WeightFileError) -> Kind {
        var status = stat()
        let isThere =
            unsafe descriptor(target).map { unsafe fstat($0, &status) } ?? stat(target, &status)
        if isThere != 0, errno == ENOENT { return .nothing }
        guard isThere == 0 else { throw .system(operation: .create, path: path, code: errno) }
        switch (status.st_mode & S_IFMT, descriptor(target)) {
        case (S_IFDIR, _): throw .badPlace(path: path, reason: "is a folder; name a file in it")
        case (S_IFSOCK, nil): throw .badPlace(path: path, reason: "is a socket; name a file")
        case (S_IFBLK, _): throw .badPlace(path: path, reason: "is a disk; name a file")
        case (_, let number?): return .descriptor(number)
        case (S_IFREG, nil): return .file
        default: return .stream
        }
    }

    /// Whether both places are the same file or pipe.
    public func isSame(as other: OutputPlace) -> Bool {
        guard isReplaced, other.isReplaced else {
            return Identity(target).map { $0.isShared && $0 == Identity(other.target) } ?? false
        }
        return lastName == other.lastName && Identity(folder) == Identity(other.folder)
    }

    /// Whether standard output goes to this file or pipe.
    public var isStandardOutput: Bool {
        Identity(descriptor: 1).map { $0.isShared && $0 == Identity(target) } ?? false
    }

    private var lastName: Substring {
        target.lastIndex(of: "/").map { target[target.index(after: $0)...] } ?? target[...]
    }

    /// Whether writing here would change `input`: the same file, or a part of a model's folder.
    private func isPart(of input: String) -> Bool {
        guard kind == .file, let given = Identity(input), let mine = Identity(target) else {
            return false
        }
        return mine == given || given == Identity(folder) && !target.hasSuffix(".tsr")
    }

    private struct Identity: Equatable {
        let device: dev_t
        let number: ino_t
        /// Whether it is a file or pipe: what devices such as terminals do with what they get is their own matter.
        let isShared: Bool

        init?(_ path: String) {
            var status = stat()
            guard unsafe stat(path, &status) == 0 else { return nil }
            self.init(status)
        }

        init?(descriptor: Int32) {
            var status = stat()
            guard unsafe fstat(descriptor, &status) == 0 else { return nil }
            self.init(status)
        }

        private init(_ status: stat) {
            (device, number) = (status.st_dev, status.st_ino)
            isShared = [S_IFREG, S_IFIFO].contains(status.st_mode & S_IFMT)
        }
    }

    private func checkFolder() throws(WeightFileError) {
        var status = stat()
        guard unsafe stat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw .badPlace(path: path, reason: "no such folder: \(folder)")
        }
        // Only a created file shows whether one can be created.
        let flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
        let descriptor = unsafe open(temporaryPath, flags, 0o644)
        guard descriptor >= 0 else {
            throw .system(operation: .create, path: path, code: errno)
        }
        close(descriptor)
        unsafe unlink(temporaryPath)
    }
}

package enum SymbolicLink {
    /// What the link at `path` names; nil if no link is.
    package static func target(of path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe readlink(path, &buffer, buffer.count)
        guard count >= 0 else { return nil }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
