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
            name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        // libedit's header; the library itself is loaded where it is installed.
        .systemLibrary(name: "CEdit", providers: [.apt(["libedit-dev"])]),
        .target(
            name: "CBuild", cSettings: [.define("TESSERA_COMMIT", to: "\"\(commit)\"")]),
        .target(
            name: "CKernels", dependencies: ["CZstd"],
            cSettings: [
                .enableWarning("all"), .enableWarning("extra"), .treatAllWarnings(as: .error),
            ]),
        .target(name: "Machine", swiftSettings: swiftSettings),
        .target(
            name: "Kernels", dependencies: ["CKernels", "Machine"], swiftSettings: swiftSettings),
        .target(name: "Reporting", swiftSettings: swiftSettings),
        .target(
            name: "WeightFile", dependencies: ["CKernels", "CZstd", "Machine"],
            swiftSettings: swiftSettings),
        .target(
            name: "Import", dependencies: ["Reporting", "WeightFile"],
            swiftSettings: swiftSettings),
        .target(
            name: "Quantization", dependencies: ["Import", "Kernels", "WeightFile"],
            swiftSettings: swiftSettings),
        .target(name: "Tokenization", dependencies: ["WeightFile"], swiftSettings: swiftSettings),
        .target(
            name: "ChatTemplates", dependencies: ["Reporting", "Tokenization"],
            swiftSettings: swiftSettings),
        .target(
            name: "Grammars", dependencies: ["Reporting", "Tokenization", "WeightFile"],
            swiftSettings: swiftSettings),
        .target(
            name: "Residency", dependencies: ["Kernels", "Machine", "WeightFile"],
            swiftSettings: swiftSettings),
        .target(
            name: "Transformer", dependencies: ["Kernels", "Residency", "Machine", "WeightFile"],
            swiftSettings: swiftSettings),
        .target(
            name: "Decoding",
            dependencies: [
                "Grammars", "Kernels", "Machine", "Tokenization", "Transformer", "WeightFile",
            ],
            swiftSettings: swiftSettings),
        .target(
            name: "Chat",
            dependencies: [
                "ChatTemplates", "Decoding", "Grammars", "Reporting", "Tokenization", "WeightFile",
            ],
            swiftSettings: swiftSettings),
        .target(
            name: "Calibrating",
            dependencies: [
                "Decoding", "Import", "Kernels", "Quantization", "Transformer", "WeightFile",
            ], swiftSettings: swiftSettings),
        .target(
            name: "Profiling",
            dependencies: [
                "CKernels", "Decoding", "Kernels", "Reporting", "Residency", "Machine",
                "Transformer", "WeightFile",
            ],
            swiftSettings: swiftSettings),
        .target(
            name: "Tessera",
            dependencies: [
                "Chat", "ChatTemplates", "Decoding", "Grammars", "Kernels", "Reporting",
                "Residency", "Machine", "Tokenization", "Transformer", "WeightFile",
            ],
            // Not "Tessera", which some file systems take for the executable's folder.
            path: "Sources/Library", swiftSettings: swiftSettings),
        .executableTarget(
            name: "tessera",
            dependencies: [
                "CBuild", "CEdit", "Calibrating", "Chat", "ChatTemplates", "Decoding", "Grammars",
                "Import", "Kernels", "Profiling", "Quantization", "Reporting", "Residency",
                "Machine",
                "Tessera", "Tokenization", "Transformer", "WeightFile",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            exclude: ["Resources"],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "kernel-bench", dependencies: ["Kernels", "WeightFile"],
            path: "Benchmarks/KernelBench",
            swiftSettings: swiftSettings),
        // Fuzzing: what is fed with any bytes, and the program that libFuzzer drives.
        .target(
            name: "FuzzTargets",
            dependencies: [
                "CKernels", "ChatTemplates", "Decoding", "Grammars", "Import", "Kernels",
                "Profiling",
                "Reporting", "Tokenization", "Transformer", "WeightFile",
            ],
            path: "Tools/fuzz/Targets", swiftSettings: testSettings),
        .executableTarget(
            name: "fuzz", dependencies: ["FuzzTargets"], path: "Tools/fuzz/Program",
            swiftSettings: testSettings),
        .executableTarget(
            name: "render-templates",
            dependencies: ["ChatTemplates", "Reporting", "Tokenization"],
            path: "Tools/oracle/RenderTemplates",
            swiftSettings: swiftSettings),
        .target(name: "AllocationCounter", path: "Tests/AllocationCounter"),
        .target(
            name: "TestSupport", path: "Tests/TestSupport", swiftSettings: testSettings),
        .testTarget(
            name: "MachineTests", dependencies: ["Machine", "TestSupport"],
            swiftSettings: testSettings),
        .testTarget(
            name: "FuzzTests", dependencies: ["FuzzTargets"], exclude: ["Findings"],
            swiftSettings: testSettings),
        .testTarget(
            name: "KernelsTests", dependencies: ["Kernels", "CKernels", "CZstd"],
            swiftSettings: testSettings),
        .testTarget(
            name: "WeightFileTests", dependencies: ["WeightFile", "TestSupport"],
            swiftSettings: testSettings),
        .testTarget(
            name: "CommandTests", dependencies: ["TestSupport", "WeightFile"],
            swiftSettings: testSettings),
        .testTarget(
            name: "ImportTests", dependencies: ["Import", "WeightFile"],
            exclude: ["Resources"], swiftSettings: testSettings),
        .testTarget(
            name: "QuantizationTests",
            dependencies: ["Quantization", "Import", "Kernels", "WeightFile"],
            swiftSettings: testSettings),
        .testTarget(
            name: "TokenizationTests", dependencies: ["Tokenization", "Import", "WeightFile"],
            resources: [.copy("Resources")],
            swiftSettings: testSettings),
        .testTarget(
            name: "ChatTemplatesTests", dependencies: ["ChatTemplates", "Tokenization"],
            resources: [.copy("Resources")],
            swiftSettings: testSettings),
        .testTarget(
            name: "GrammarsTests",
            dependencies: ["Grammars", "Reporting", "Tokenization", "WeightFile"],
            swiftSettings: testSettings),
        .testTarget(
            name: "ResidencyTests",
            dependencies: [
                "Residency", "Transformer", "Kernels", "Machine", "WeightFile", "TestSupport",
            ],
            exclude: ["Resources"], swiftSettings: testSettings),
        .testTarget(
            name: "TransformerTests",
            dependencies: [
                "Decoding", "Transformer", "Quantization", "Import", "Kernels", "WeightFile",
                "AllocationCounter",
            ],
            exclude: ["Resources"], swiftSettings: testSettings),
        .testTarget(
            name: "DecodingTests",
            dependencies: [
                "ChatTemplates", "Decoding", "Grammars", "Transformer", "Tokenization",
                "Quantization", "Import", "Kernels", "WeightFile", "TestSupport",
            ],
            exclude: ["Resources"],
            swiftSettings: testSettings),
        .testTarget(
            name: "ChatTests",
            dependencies: [
                "Chat", "ChatTemplates", "Decoding", "Grammars", "Kernels", "Reporting",
                "TestSupport",
                "Tokenization",
                "Transformer", "WeightFile",
            ], swiftSettings: testSettings),
        .testTarget(
            name: "TesseraTests",
            dependencies: ["Tessera", "Residency", "Transformer", "WeightFile", "TestSupport"],
            swiftSettings: testSettings),
        .testTarget(
            name: "ProfilingTests",
            dependencies: [
                "Profiling", "Reporting", "Residency", "Transformer", "Quantization", "Import",
                "Kernels", "WeightFile", "TestSupport",
            ],
            swiftSettings: testSettings),
    ]
)
