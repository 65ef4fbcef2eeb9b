import Testing
import TesseraWeightFile

struct XXH64Tests {
    /// Published values: xxHash's own sanity checks and the vectors of its ports.
    @Test(
        arguments: [
            ("", 0, 0xEF46_DB37_51D8_E999), ("a", 0, 0xD24E_C4F1_A98C_6E5B),
            ("abc", 0, 0x44BC_2CF5_AD77_0999), ("message digest", 0, 0x066E_D728_FCEE_B3BE),
            ("abcdefghijklmnopqrstuvwxyz", 0, 0xCFE1_F278_FA89_835C),
            ("Nobody inspects the spammish repetition", 0, 0xFBCE_A83C_8A37_8BF1),
            ("xxhash", 20_141_025, 0xB559_B98D_844E_0635),
            (
                "123456789012345678901234567890123456789012345678901234567890123456789012345"
                    + "67890", 0, 0xE04A_477F_19EE_145D
            ),
        ] as [(String, UInt64, UInt64)])
    func publishedVectorsHold(text: String, seed: UInt64, hash: UInt64) {
        #expect(XXH64.hash(Array(text.utf8), seed: seed) == hash)
    }

    /// The expected value is what the reference implementation in C gives.
    @Test func everyLengthUpTo100AgreesWithTheReference() {
        let bytes = (0..<100).map { UInt8($0 * 7 % 251) }
        let hashes = (0...100).map {
            XXH64.hash(Array(bytes.prefix($0)), seed: 0x9E37_79B1_85EB_CA87)
        }
        #expect(hashes.reduce(0, ^) == 0x419F_75BF_E2D1_5B2B)
    }
}
