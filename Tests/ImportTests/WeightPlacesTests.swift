import Foundation
import Testing
import TesseraWeightFile

@testable import TesseraImport

/// Which stored tensors are the model's, and which files hold them.
struct WeightPlacesTests {
    private static let head = "lm_head.weight"
    private static let embedding = "model.embed_tokens.weight"

    /// As in transformers 5: a tied model that stores another head keeps it.
    @Test func aTiedModelWithAHeadOfItsOwnKeepsIt() throws {
        try withMiniFolder { folder in
            try folder.restore { tensors in
                tensors[Self.head] = tensors[Self.embedding]
                tensors[Self.head]?.values[77] += 1
            }
            let source = try openModel(at: folder.path)
            #expect(!source.config.tieWordEmbeddings)
            #expect(source.notes.count == 1 && source.notes[0].contains("tie_word_embeddings"))
            let head = try #require(source.tensors.last)
            #expect(head.name == Self.head)
            let embedding = try values(of: source.tensors[0], in: source)
            let stored = try values(of: head, in: source)
            #expect(stored[77] == embedding[77] + 1 && stored[78] == embedding[78])
        }
    }

    @Test func aTiedModelWithACopyOfItsEmbeddingIsTied() throws {
        try withMiniFolder { folder in
            try folder.restore { $0[Self.head] = $0[Self.embedding] }
            let source = try openModel(at: folder.path)
            #expect(source.config.tieWordEmbeddings && source.notes.isEmpty)
        }
    }

    @Test func aTiedModelThatStoresOnlyItsHeadIsEmbeddedByIt() throws {
        try withMiniFolder { folder in
            var expected: [Float] = []
            try folder.restore { tensors in
                expected = tensors[Self.embedding]?.values ?? []
                tensors[Self.head] = tensors.removeValue(forKey: Self.embedding)
            }
            let source = try openModel(at: folder.path)
            #expect(source.config.tieWordEmbeddings)
            #expect(source.tensors[0].name == Self.embedding)
            #expect(try values(of: source.tensors[0], in: source) == expected)
        }
    }

    @Test(arguments: [
        "model.norm.bias", "lm_head.bias", "model.embed_norm.weight", "score.weight",
        "model.layers.0.mlp.up_proj.bias", "model.layers.0.self_attn.o_proj.bias",
    ])
    func otherTensorsAreRefused(name: String) throws {
        try withMiniFolder { folder in
            try folder.restore { $0[name] = MiniTensor(shape: [1], values: [1]) }
            let error = #expect(throws: ImportError.self) { try openModel(at: folder.path) }
            #expect(
                error?.description.contains("'\(name)'") == true, "\(String(describing: error))")
        }
    }

    @Test(arguments: [
        "model.layers.0.self_attn.rotary_emb.inv_freq", "model.layers.1.input_layernorm.weight",
        "mtp.fc.weight",
    ])
    func spareTensorsAreLeftOut(name: String) throws {
        try withMiniFolder { folder in
            try folder.restore { $0[name] = MiniTensor(shape: [1], values: [1]) }
            #expect(try openModel(at: folder.path).tensors.count == 14)
        }
    }

    // MARK: Files of a folder

    @Test func shardsWithoutAnIndexAreFound() throws {
        try withMiniFolder { folder in
            try FileManager.default.removeItem(
                at: folder.appending(path: "model.safetensors.index.json"))
            #expect(try openModel(at: folder.path).tensors.count == 14)
            try FileManager.default.removeItem(
                at: folder.appending(path: "model-00002-of-00002.safetensors"))
            let error = #expect(throws: ImportError.self) { try openModel(at: folder.path) }
            #expect(error?.description.contains("model-00002-of-00002.safetensors") == true)
        }
    }

    @Test func filesThatAreNotWeightsAreNamed() throws {
        try withMiniFolder { folder in
            let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
            let shard = folder.appending(path: "model-00001-of-00002.safetensors")
            try Data(pointer.utf8).write(to: shard)
            var error = #expect(throws: ImportError.self) { try openModel(at: folder.path) }
            #expect(error?.description.contains("git lfs pull") == true)

            for name in try fileNames(in: folder.path) where name.hasPrefix("model") {
                try FileManager.default.removeItem(at: folder.appending(path: name))
            }
            try Data().write(to: folder.appending(path: "pytorch_model.bin"))
            error = #expect(throws: ImportError.self) { try openModel(at: folder.path) }
            #expect(
                error?.description.contains("pytorch_model.bin: a checkpoint of PyTorch") == true)
        }
    }

    @Test func aNameOfARepositoryIsToBeDownloaded() throws {
        let error = #expect(throws: ImportError.self) { try openModel(at: "some-one/some-model") }
        #expect(error?.description.contains("hf download some-one/some-model") == true)
        let other = #expect(throws: ImportError.self) { try openModel(at: "./some-model") }
        #expect(other?.description.contains("hf download") == false)
    }

    /// A file that was replaced by one of the same size makes the source another.
    @Test func theFingerprintChangesWithAFile() throws {
        try withMiniFolder { folder in
            let before = try openModel(at: folder.path).fingerprint
            #expect(try openModel(at: folder.path).fingerprint == before)
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSince1970: 1_000_000)],
                ofItemAtPath: folder.appending(path: "model-00002-of-00002.safetensors").path)
            #expect(try openModel(at: folder.path).fingerprint != before)
        }
    }
}
