public import ArgumentParser
public import Tessera

extension ByteSize: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }

    /// Refuses a size that was surely meant in another unit.
    func check(_ option: String) throws {
        if let doubt { throw ValidationError("\(option) \(text) \(doubt)") }
    }
}
