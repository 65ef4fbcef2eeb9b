import Foundation
import TesseraTestSupport
import Testing

/// `tessera inspect` and `tessera verify` as a user runs them.
struct CommandTests {
    @Test func inspectPrintsWhatTheFileHolds() throws {
        let result = try tessera("inspect", golden("int8-everything"), "--json", "--tensors")
        #expect(result.status == 0)
        let object = try #require(
            JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
        let config = try #require(object["config"] as? [String: Any])
        #expect(config["hidden_size"] as? Int == 8)
        #expect((config["block_decoding"] as? [String: Any])?["mask_token"] as? Int == 5)
        let tensors = try #require(object["tensors"] as? [[String: Any]])
        #expect(tensors.count == 19)
        #expect(tensors.first?["bytes"] as? Int == 576)
        #expect(object["tensor_bytes"] as? Int == 5488)
        let bits = try #require(object["bits_per_weight"] as? Double)
        #expect(abs(bits - 5488 * 8 / 748) < 1e-9)
        let text = try tessera("inspect", golden("int4"), "--tensors")
        #expect(text.output.contains("model.norm.weight"))
        #expect(text.output.contains("1 layers, hidden 8, intermediate 12, vocabulary 6"))
        let layers = try #require(config["layers"] as? [[String: Any]])
        #expect(layers.count == 1 && layers[0]["norms"] as? String == "both")
    }

    @Test func inspectGroupsLayersThatAreAlike() throws {
        let text = try tessera("inspect", golden("layers")).output
        for line in [
            "layers      0: all positions, norms before, SiLU, attention scale 0.5, rotary 0",
            "            1-2, 4: 9 positions, norms before and after, query/key norms per head, GELU",
            "            3: all positions, norms after, query/key norms of the projections, SiLU",
            "rotary      0: 4 of 4 dimensions, frequencies 1.0 to 0.5, factor 1.5",
            "            1: no rotation",
        ] {
            #expect(text.contains(line), "\(text)")
        }
    }

    @Test func namesCannotSteerATerminal() throws {
        let folder = try TemporaryFolder()
        var model = TinyModel()
        model.config.name = "evil\u{1B}[2J"
        try model.write(to: folder.file("model.tsr"))
        let result = try tessera("inspect", folder.file("model.tsr"))
        #expect(result.status == 0)
        #expect(result.output.contains("evil\u{FFFD}[2J"))
    }

    @Test func verifyTellsWholeDamagedAndMissingApart() throws {
        let whole = try tessera("verify", golden("f32-two-tiles"))
        #expect(whole.status == 0)
        #expect(whole.output.contains("whole; 11 tensors, 12 checksums"))
        let url = SecondReader.formats
            .appendingPathComponent("golden-errors/tileChecksum-flipped-bit.tsr")
        let damaged = try tessera("verify", url.path, "--json")
        #expect(damaged.status == 65)
        #expect(damaged.errors.contains("self_attn.k_proj.weight"))
        let object = try #require(
            JSONSerialization.jsonObject(with: Data(damaged.output.utf8)) as? [String: Any])
        #expect(object["valid"] as? Bool == false)
        #expect(object["rule"] as? String == "tileChecksum")
        let missing = try tessera("verify", "/nonexistent.tsr")
        #expect(missing.status == 66)
        #expect(
            missing.errors == "tessera: /nonexistent.tsr: cannot open: No such file or directory\n")
    }

    private func golden(_ name: String) -> String {
        SecondReader.formats.appendingPathComponent("golden/\(name).tsr").path
    }

    private func tessera(_ arguments: String...) throws -> Program.Outcome {
        try Program.run(arguments)
    }
}
