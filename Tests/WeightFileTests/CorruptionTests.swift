import Foundation
import TesseraTestSupport
import Testing
import TesseraWeightFile

/// No damage may crash the reader, and damage that checksums cover is always found.
struct CorruptionTests {
    @Test(arguments: ["int8-everything", "int4Affine", "int4Affine-coded"])
    func everyFlippedByteIsFound(name: String) throws {
        let scratch = try Scratch()
        let good = try golden(name)
        let file = FileBytes(good)
        // All of a long run of zeros is padding, where one byte in 97 stands for the others.
        let offsets = good.indices.filter { offset in
            let isPadding =
                offset > 0
                && good[max(0, offset - 64)...min(good.count - 1, offset + 64)]
                    .allSatisfy { $0 == 0 }
            return !isPadding || offset % 97 == 0
        }
        #expect(offsets.count > file.tileTable - 192)
        for offset in offsets {
            var bytes = good
            bytes[offset] ^= UInt8(truncatingIfNeeded: 1 + offset * 31 % 255)
            let error = try scratch.failure(of: bytes)
            #expect(error != nil, "flipping byte \(offset) of \(name) was not found")
        }
    }

    @Test(arguments: ["int8-everything", "f16"])
    func everyTruncationIsFound(name: String) throws {
        let scratch = try Scratch()
        let good = try golden(name)
        for count in 0..<good.count
        where count < 3000 || count > good.count - 300 || count % 61 == 0 {
            #expect(try scratch.failure(of: Array(good[..<count])) != nil, "\(count) bytes")
        }
    }

    /// A hostile file: its checksums and its size are right, everything else may be wrong.
    @Test(arguments: ["int8-everything", "int4Affine", "int4Affine-coded"])
    func everyFlippedByteUnderRightChecksumsFailsOrLoads(name: String) throws {
        let scratch = try Scratch()
        let good = try golden(name)
        let end = FileBytes(good).tileTable + 24
        var loads = 0
        for offset in 8..<end where !(120..<128).contains(offset) && offset < 184 || offset >= 192 {
            for pattern: UInt8 in [0xFF, UInt8(1) << (offset % 8)] {
                var file = FileBytes(good)
                file.bytes[offset] ^= pattern
                file.seal()
                if try scratch.failure(of: file.bytes) == nil { loads += 1 }
            }
        }
        // Names, numbers and ignored bytes may change without breaking a rule.
        #expect(loads > 50)
    }

    @Test func extremeNumbersUnderRightChecksumsFailOrLoad() throws {
        let scratch = try Scratch()
        let good = try golden("int8-everything")
        let end = FileBytes(good).tileTable + 24
        for offset in stride(from: 8, to: end, by: 4) where offset < 184 || offset >= 192 {
            for value: UInt32 in [0, 0x7FFF_FFFF, .max] {
                var file = FileBytes(good)
                file.set(offset, u32: value)
                file.seal()
                _ = try scratch.failure(of: file.bytes)
            }
            guard offset % 8 == 0 else { continue }
            for value: UInt64 in [.max, .max - 3, 1 << 63, 1 << 63 - 1, 1 << 46, 1 << 31] {
                var file = FileBytes(good)
                file.set(offset, u64: value)
                file.seal()
                _ = try scratch.failure(of: file.bytes)
            }
        }
    }

    /// Wrong bytes of coded tiles under right checksums are refused, or decode to some values.
    @Test func everyFlippedByteOfCodedTilesFailsOrLoads() throws {
        let scratch = try Scratch()
        let good = try golden("int4Affine-coded")
        let intact = FileBytes(good)
        var failures = 0
        for tensor in 0..<intact.tensorCount {
            let size = Int(intact.u64(intact.record(tensor) + 56))
            for offset in 0..<size {
                var file = intact
                file.bytes[intact.tensor(tensor) + offset] ^= UInt8(1) << (offset % 8)
                file.sealTensor(tensor)
                if try scratch.failure(of: file.bytes) != nil { failures += 1 }
            }
        }
        #expect(failures > 100)
    }

    @Test func everyTruncationWithASizeToMatchFails() throws {
        let scratch = try Scratch()
        let good = try golden("int4Affine")
        for count in stride(from: 192, to: good.count, by: 37) {
            var file = FileBytes(Array(good[..<count]))
            file.set(16, u64: UInt64(count))
            file.seal()
            #expect(try scratch.failure(of: file.bytes) != nil, "\(count) bytes")
        }
    }

    private func golden(_ name: String) throws -> [UInt8] {
        let url = SecondReader.formats.appendingPathComponent("golden/\(name).tsr")
        return [UInt8](try Data(contentsOf: url))
    }
}

/// One file that is written again and again.
private final class Scratch {
    private let folder: TemporaryFolder
    private let path: String
    private let descriptor: Int32

    init() throws {
        folder = try TemporaryFolder()
        path = folder.file("damaged.tsr")
        descriptor = open(path, O_RDWR | O_CREAT, 0o600)
        #expect(descriptor >= 0)
    }

    deinit { close(descriptor) }

    /// The error of opening and verifying a file of these bytes; if there is none, everything in
    /// the file has been used.
    func failure(of bytes: [UInt8]) throws -> WeightFileError? {
        ftruncate(descriptor, bytes.count)
        #expect(pwrite(descriptor, bytes, bytes.count, 0) == bytes.count)
        do throws(WeightFileError) {
            let file = try WeightFile(path: path)
            use(file)
            try file.verify()
            return nil
        } catch {
            #expect(error.violation != nil, "\(error)")
            return error
        }
    }

    private func use(_ file: WeightFile) {
        var sum = file.config.rotaryTables.count + file.config.layerCount
        for token in file.tokenizer.tokens { sum += token.count }
        for tensor in file.tensors {
            let bytes = file.bytes(of: tensor)
            sum += Int(bytes.unsafeLoad(fromByteOffset: tensor.byteCount - 1, as: UInt8.self))
        }
        #expect(sum >= 0)
    }
}

struct ValueTests {
    /// Every place where a number may stand is looked at: first and last panels, planes and tails.
    @Test(arguments: TensorEncoding.allCases)
    func everyBadValueIsFoundWhereItStands(encoding: TensorEncoding) throws {
        var model = TinyModel(encoding: encoding)
        model.tensors.append(
            TensorSpec(name: "more", rows: 35, columns: 45, encoding: encoding))
        let file = FileBytes(try model.fileBytes())
        let last = file.tensorCount - 1
        let size = Int(file.u64(file.record(last) + 56))
        let layout = PanelLayout(encoding, columns: 45)
        let plane = layout.plane
        let panel = TensorRecord.panelBytes(encoding: encoding, columns: 45)
        let scratch = try Scratch()
        var found = 0
        let step = encoding == .f32 ? 4 : encoding == .int8 ? 1 : 2
        for offset in stride(from: 0, to: size, by: step * (size > 6000 ? 7 : 3)) {
            var damaged = file
            let isNumber: Bool
            switch encoding {
            case .f32:
                damaged.set(file.tensor(last) + offset, f32: -.infinity)
                isNumber = true
            case .f16:
                damaged.set(file.tensor(last) + offset, bytes: [0x01, 0xFE])
                isNumber = true
            case .int8 where offset % panel >= plane:
                damaged.bytes[file.tensor(last) + offset] = 0
                isNumber = true
            case .int8 where offset % 2 == 1: continue
            default:
                damaged.set(file.tensor(last) + offset, bytes: [0x00, 0x7C])
                let isNested = layout.factorBytes > 0
                let numbers = isNested ? plane..<plane + layout.factorBytes : 0..<layout.planesBytes
                isNumber = numbers.contains(offset % panel)
            }
            damaged.sealTensor(last)
            let violation = try scratch.failure(of: damaged.bytes)?.violation
            #expect(
                (violation?.rule == .values) == isNumber,
                "byte \(offset): \(String(describing: violation))")
            if let violation { #expect(violation.offset == file.tensor(last) + offset) }
            found += isNumber ? 1 : 0
        }
        #expect(found > 10)
    }
}
