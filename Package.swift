// swift-tools-version: 6.2
import PackageDescription

/// Every target of ours: Swift 6 mode, explicit existentials and imports, and no warning survives.
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

func library(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .target(name: name, dependencies: dependencies, resources: resources, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")
let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
    .product(name: "NIOHTTP1", package: "swift-nio"),
]

let package = Package(
    name: "perch",
    products: [
        .executable(name: "perchd", targets: ["perchd"]),
        .executable(name: "perch", targets: ["perch"]),
        .executable(name: "bench-judgement", targets: ["bench-judgement"]),
        .executable(name: "bench-rewind", targets: ["bench-rewind"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
    ],
    targets: [
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .target(name: "CPosix"),
        library("Releases", []),
        library("Analysis", []),
        library("JudgementBench", ["Analysis"]),
        .executableTarget(name: "bench-judgement", dependencies: ["JudgementBench"], swiftSettings: strict),
        library("Traffic", ["Analysis"]),
        library("Ports", ["Releases", "Analysis", "Traffic"]),
        library("Merge", []),
        library("Postgres", ["CLibPQ"]),
        library("Policies", ["Releases", yams]),
        library("Triggers", ["Releases", crypto]),
        library("Rewind", ["Merge", "Postgres", "Releases", "Ports", "CPosix", subprocess, system, logging]),
        .executableTarget(
            name: "bench-rewind",
            dependencies: ["Rewind", "Postgres", "PostgresSupport", "Ports", "Releases", logging, system],
            swiftSettings: strict),
        library("Evidence", ["Releases", "Ports", "Traffic", logging]),
        library("Router", ["Traffic", "Analysis", "CPosix", logging] + nio),
        library(
            "Platforms",
            ["Releases", "Ports", "Traffic", "CPosix", subprocess, system, logging, httpClient] + nio),
        library("Measurements", ["Releases", "Ports", "Postgres", httpClient] + nio),
        library("ControlModel", ["Releases", "Analysis"]),
        library(
            "Controller",
            ["Releases", "Analysis", "Traffic", "Ports", "Postgres", "Policies", "ControlModel", logging, metrics]
        ),
        library(
            "ControlAPI", ["ControlModel", "Triggers", "Releases", hummingbird, metrics, logging, lifecycle, nio[0]]),
        library("PerchCLI", ["ControlModel", "Policies", "Triggers", "Releases", arguments, httpClient] + nio),
        .executableTarget(name: "perch", dependencies: ["PerchCLI"], swiftSettings: strict),
        .executableTarget(
            name: "perchd",
            dependencies: [
                "Controller", "ControlAPI", "ControlModel", "Rewind", "Evidence", "Router", "Platforms", "Measurements",
                "Policies",
                "Postgres", "Releases", "Ports", "Traffic", arguments, lifecycle, logging, metrics, yams,
            ],
            swiftSettings: strict
        ),
        .target(
            name: "PostgresSupport", dependencies: ["Postgres"], path: "Tests/PostgresSupport", swiftSettings: strict),
        tests("ReleasesTests", ["Releases"]),
        tests("AnalysisTests", ["Analysis"]),
        tests("JudgementBenchTests", ["JudgementBench", "Analysis"]),
        tests("MergeTests", ["Merge"]),
        tests("PoliciesTests", ["Policies", "Releases"]),
        tests("TriggersTests", ["Triggers", "Releases"]),
        tests("PostgresTests", ["Postgres", "PostgresSupport"]),
        tests("RouterTests", ["Router", "Traffic", "Analysis", logging] + nio),
        tests("PlatformsTests", ["Platforms", "Ports", "Releases", "Traffic", "Analysis", "CPosix", logging]),
        tests("EvidenceTests", ["Evidence", "Platforms", "Ports", "Releases", "Traffic", logging]),
        tests(
            "MeasurementsTests",
            [
                "Measurements", "Ports", "Releases", "Postgres", "PostgresSupport", "Router", "Traffic", logging,
                httpClient,
            ] + nio),
        tests(
            "RewindTests",
            ["Rewind", "Merge", "Postgres", "PostgresSupport", "Ports", "Releases", "CPosix", logging, system]),
        tests(
            "ControllerTests",
            [
                "Controller", "ControlModel", "Policies", "Postgres", "PostgresSupport", "Ports", "Releases",
                "Analysis",
                "Traffic", logging,
            ]
        ),
        .target(
            name: "ControlSupport",
            dependencies: ["ControlAPI", "ControlModel", "Releases", "Analysis", logging, lifecycle],
            path: "Tests/ControlSupport", swiftSettings: strict),
        tests(
            "ControlAPITests",
            [
                "ControlSupport", "ControlAPI", "ControlModel", "Triggers", "Releases", "Analysis", httpClient, crypto,
                logging, metrics, lifecycle,
            ] + nio
        ),
        tests(
            "PerchCLITests",
            ["ControlSupport", "ControlAPI", "PerchCLI", "ControlModel", "Triggers", "Releases", "Analysis", arguments]
        ),
        .target(
            name: "SystemSupport", dependencies: ["ControlModel", "Releases", "Traffic", crypto],
            path: "Tests/SystemSupport", resources: [.copy("Service")], swiftSettings: strict),
        tests("IntegrationTests", ["SystemSupport", "ControlModel", "Releases", "Traffic"]),
        tests("CrashTests", ["SystemSupport", "ControlModel", "Releases", "Traffic"]),
    ],
    swiftLanguageModes: [.v6]
)
