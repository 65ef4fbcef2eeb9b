// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target is checked alike: unsafe expressions are marked, warnings are errors.
let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableExperimentalFeature("Lifetimes"),
]

/// Tests may use Foundation freely, so memory safety marks are left to Sources.
let testSettings: [SwiftSetting] = [.swiftLanguageMode(.v6)]

/// What `tessera --version` tells of the sources. Tools/release sets the variable; other builds tell nothing.
let commit = Context.environment["TESSERA_COMMIT"] ?? ""

/// A module that the library consists of. Its name has a prefix, its folder in Sources has none: a program that uses
/// the library may have modules named Chat or Import itself, and the package manager refuses two of one name.
func module(_ folder: String, imports: [String]) -> Target {
    .target(
        name: "Tessera" + folder, dependencies: named(imports),
        path: "Sources/" + folder, swiftSettings: swiftSettings)
}

func named(_ folders: [String]) -> [Target.Dependency] {
    folders.map { .target(name: "Tessera" + $0) }
}

/// Tests of the folder Tests/`name`. `Resources` of such a folder is read where it lies, or copied into the bundle.
func tests(
    _ name: String, of imports: [String], exclude: [String] = [], resources: [Resource]? = nil
) -> Target {
    .testTarget(
        name: name, dependencies: named(imports), exclude: exclude, resources: resources,
        swiftSettings: testSettings)
}

let package = Package(
    name: "Tessera",
    products: [
        .library(name: "Tessera", targets: ["Tessera"]),
        .executable(name: "tessera", targets: ["tessera"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2")
    ],
    targets: [
        // One direction: each target depends only on targets above it in this list.
        .systemLibrary(
            name: "TesseraCZstd", path: "Sources/CZstd", pkgConfig: "libzstd",
            providers: [.apt(["libzstd-dev"])]),
        // libedit's header; the library itself is loaded where it is installed.
        .systemLibrary(
            name: "TesseraCEdit", path: "Sources/CEdit", providers: [.apt(["libedit-dev"])]),
        .target(
            name: "TesseraCBuild", path: "Sources/CBuild",
            cSettings: [.define("TESSERA_COMMIT", to: "\"\(commit)\"")]),
        .target(
            name: "TesseraCKernels", dependencies: named(["CZstd"]), path: "Sources/CKernels",
            cSettings: [
                .enableWarning("all"), .enableWarning("extra"), .treatAllWarnings(as: .error),
            ]),
        module("Machine", imports: []),
        module("Kernels", imports: ["CKernels", "Machine"]),
        module("Reporting", imports: []),
        module("WeightFile", imports: ["CKernels", "CZstd", "Machine"]),
        module("Import", imports: ["Reporting", "WeightFile"]),
        module("Quantization", imports: ["Import", "Kernels", "WeightFile"]),
        module("Tokenization", imports: ["WeightFile"]),
        module("ChatTemplates", imports: ["Reporting", "Tokenization"]),
        module("Grammars", imports: ["Reporting", "Tokenization", "WeightFile"]),
        module("Residency", imports: ["Kernels", "Machine", "WeightFile"]),
        module("Transformer", imports: ["Kernels", "Machine", "Residency", "WeightFile"]),
        module(
            "Decoding",
            imports: [
                "Grammars", "Kernels", "Machine", "Tokenization", "Transformer", "WeightFile",
            ]
        ),
        module(
            "Chat",
            imports: [
                "ChatTemplates", "Decoding", "Grammars", "Reporting", "Tokenization", "WeightFile",
            ]),
        module(
            "Calibrating",
            imports: ["Decoding", "Import", "Kernels", "Quantization", "Transformer", "WeightFile"]),
        module(
            "Profiling",
            imports: [
                "CKernels", "Decoding", "Kernels", "Machine", "Reporting", "Residency",
                "Transformer", "WeightFile",
            ]),
        .target(
            name: "Tessera",
            dependencies: named([
                "Chat", "ChatTemplates", "Decoding", "Grammars", "Kernels", "Machine", "Reporting",
                "Residency", "Tokenization", "Transformer", "WeightFile",
            ]),
            // Not "Tessera", which some file systems take for the executable's folder.
            path: "Sources/Library", swiftSettings: swiftSettings),
        .executableTarget(
            name: "tessera",
            dependencies: named([
                "CBuild", "CEdit", "Calibrating", "Chat", "ChatTemplates", "Decoding", "Grammars",
                "Import", "Kernels", "Machine", "Profiling", "Quantization", "Reporting",
                "Residency", "Tokenization", "Transformer", "WeightFile",
            ]) + ["Tessera", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            exclude: ["Resources"],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "kernel-bench", dependencies: named(["Kernels", "WeightFile"]),
            path: "Benchmarks/KernelBench",
            swiftSettings: swiftSettings),
        // Fuzzing: what is fed with any bytes, and the program that libFuzzer drives.
        .target(
            name: "TesseraFuzzTargets",
            dependencies: named([
                "CKernels", "ChatTemplates", "Decoding", "Grammars", "Import", "Kernels",
                "Profiling", "Reporting", "Tokenization", "Transformer", "WeightFile",
            ]),
            path: "Tools/fuzz/Targets", swiftSettings: testSettings),
        .executableTarget(
            name: "fuzz", dependencies: named(["FuzzTargets"]), path: "Tools/fuzz/Program",
            swiftSettings: testSettings),
        .executableTarget(
            name: "render-templates",
            dependencies: named(["ChatTemplates", "Reporting", "Tokenization"]),
            path: "Tools/oracle/RenderTemplates",
            swiftSettings: swiftSettings),
        .target(name: "TesseraAllocationCounter", path: "Tests/AllocationCounter"),
        .target(
            name: "TesseraTestSupport", path: "Tests/TestSupport", swiftSettings: testSettings),
        tests("MachineTests", of: ["Machine", "TestSupport"]),
        tests("FuzzTests", of: ["FuzzTargets"], exclude: ["Findings"]),
        tests("KernelsTests", of: ["CKernels", "CZstd", "Kernels"]),
        tests("WeightFileTests", of: ["TestSupport", "WeightFile"]),
        tests("CommandTests", of: ["TestSupport", "WeightFile"]),
        tests("ImportTests", of: ["Import", "WeightFile"], exclude: ["Resources"]),
        tests("QuantizationTests", of: ["Import", "Kernels", "Quantization", "WeightFile"]),
        tests(
            "TokenizationTests", of: ["Import", "Tokenization", "WeightFile"],
            resources: [.copy("Resources")]),
        tests(
            "ChatTemplatesTests", of: ["ChatTemplates", "Tokenization"],
            resources: [.copy("Resources")]),
        tests("GrammarsTests", of: ["Grammars", "Reporting", "Tokenization", "WeightFile"]),
        tests(
            "ResidencyTests",
            of: ["Kernels", "Machine", "Residency", "TestSupport", "Transformer", "WeightFile"],
            exclude: ["Resources"]),
        tests(
            "TransformerTests",
            of: [
                "AllocationCounter", "Decoding", "Import", "Kernels", "Quantization", "Transformer",
                "WeightFile",
            ], exclude: ["Resources"]),
        tests(
            "DecodingTests",
            of: [
                "ChatTemplates", "Decoding", "Grammars", "Import", "Kernels", "Quantization",
                "TestSupport", "Tokenization", "Transformer", "WeightFile",
            ], exclude: ["Resources"]),
        tests(
            "ChatTests",
            of: [
                "Chat", "ChatTemplates", "Decoding", "Grammars", "Kernels", "Reporting",
                "TestSupport", "Tokenization", "Transformer", "WeightFile",
            ]),
        .testTarget(
            name: "TesseraTests",
            dependencies: named(["Residency", "TestSupport", "Transformer", "WeightFile"])
                + ["Tessera"],
            swiftSettings: testSettings),
        tests(
            "ProfilingTests",
            of: [
                "Import", "Kernels", "Profiling", "Quantization", "Reporting", "Residency",
                "TestSupport", "Transformer", "WeightFile",
            ]),
    ]
)
