// libFuzzer targets for the parsers of Sources/Import; Tools/fuzz/run builds this file in one module
// with them, once for each of GGUF, SAFETENSORS and JSON. Inputs are files, so they become one.
import Glibc
import Reporting
import WeightFile

private let folder: String = {
    let path = "/dev/shm/tessera-fuzz-\(getpid())"
    precondition(mkdir(path, 0o700) == 0)
    return path
}()

/// Writes the input to `name` in a folder of this process.
private func write(_ bytes: UnsafeBufferPointer<UInt8>, _ name: String) -> String {
    let path = folder + "/" + name
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    precondition(file >= 0 && Glibc.write(file, bytes.baseAddress, bytes.count) == bytes.count)
    close(file)
    return path
}

/// Reads the last row of every tensor, as a conversion would at its end.
private func readLastRows(_ source: any TensorSource) throws(ImportError) {
    for tensor in source.tensors {
        var row = [Float](repeating: 0, count: tensor.columns)
        try source.read(tensor, rows: tensor.rows - 1..<tensor.rows, into: &row)
    }
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzImport(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = UnsafeBufferPointer(start: start, count: count)
    do throws(ImportError) {
        #if GGUF
            try readLastRows(try GGUFModel(path: write(bytes, "model.gguf")))
        #elseif SAFETENSORS
            let file = try SafetensorsFile(path: write(bytes, "model.safetensors"))
            for tensor in file.tensors.values { precondition(tensor.byteCount <= count) }
        #else
            try parse(bytes)
        #endif
    } catch {
        precondition(!error.description.isEmpty)
    }
    return 0
}

#if JSON
    /// The input as config.json, and as tokenizer.json.
    private func parse(_ bytes: UnsafeBufferPointer<UInt8>) throws(ImportError) {
        guard let json = try? JSONParser.parse(Array(bytes)) else { return }
        let settings = HuggingFaceConfig(path: "config.json", json: json)
        if var config = try? settings.modelConfig() {
            settings.setSampling(&config, json)
            _ = try? config.checkNumbers(path: "config.json")
        }
        _ = write(bytes, "tokenizer.json")
        let text = try HuggingFaceTokenizer(folder: folder)
        _ = try text.tables(vocabularySize: 512, config: json, generation: nil)
    }
#endif
