// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "Example",
    dependencies: [.package(name: "tessera", path: "../..")],
    targets: [
        .executableTarget(
            name: "Example", dependencies: [.product(name: "Tessera", package: "tessera")]),
        // The last step of the library's tutorial.
        .executableTarget(
            name: "Chat", dependencies: [.product(name: "Tessera", package: "tessera")]),
    ]
)
