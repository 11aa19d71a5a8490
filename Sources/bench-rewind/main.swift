// `bench-rewind [NAME...] [--transactions N] [--runs N] [--scale N] [--rounds N]`: how fast a recording is applied, beside
// PostgreSQL's own subscription, and what recording costs, as markdown on standard output. Exit code 1: a goal was missed;
// 2: the arguments are wrong; 3: it could not be measured.

import Foundation

@Sendable func tell(_ line: String) { FileHandle.standardError.write(Data("\(line)\n".utf8)) }

let names = Workload.allCases.map(\.rawValue) + [RecordingCost.name]

func fail(_ message: String) -> Never {
    tell("bench-rewind: \(message)")
    tell(
        "hint: bench-rewind [NAME...] [--transactions N] [--runs N] [--scale N] [--rounds N]; names: "
            + names.joined(separator: ", "))
    exit(2)
}

var numbers = ["--transactions": 100_000, "--runs": 3, "--scale": 10, "--rounds": 24]
var wanted: Set<String> = []
var arguments = CommandLine.arguments.dropFirst()
while let argument = arguments.popFirst() {
    if numbers[argument] != nil {
        guard let number = arguments.popFirst().flatMap({ Int($0) }), number > 0 else {
            fail("\(argument) needs a number above 0")
        }
        numbers[argument] = number
    } else if names.contains(argument) {
        wanted.insert(argument)
    } else {
        fail("there is no measurement \(argument)")
    }
}
guard numbers["--transactions"]! <= numbers["--scale"]! * 100_000 else {
    fail("--transactions may be at most 100,000 times --scale, or a row would be updated twice")
}

let began = ContinuousClock.now
var missed = 0
do {
    let stage = try await Stage()
    defer { stage.remove() }
    print(try await Machine.described(stage, scale: numbers["--scale"]!))
    let workloads = Workload.allCases.filter { wanted.isEmpty || wanted.contains($0.rawValue) }
    let comparison = Comparison(
        stage: stage, transactions: numbers["--transactions"]!, runs: numbers["--runs"]!, scale: numbers["--scale"]!,
        tell: tell)
    if !workloads.isEmpty {
        print("\n\(comparison.transactions) transactions, \(comparison.runs) runs each\n\n\(Line.heading)")
    }
    for (number, workload) in workloads.enumerated() {
        let line = try await comparison.run(workload, number: number + 1)
        print(line.markdown)
        fflush(nil)
        if !line.isMet { missed += 1 }
    }
    if wanted.isEmpty || wanted.contains(RecordingCost.name) {
        let cost = try await RecordingCost.measure(
            stage, rounds: numbers["--rounds"]!, scale: numbers["--scale"]!, tell)
        print("\n\(cost.markdown)")
        missed += cost.missed
    }
} catch {
    tell("bench-rewind: \(error)")
    exit(3)
}
tell("\((ContinuousClock.now - began).components.seconds) s, \(missed) goals missed")
exit(missed == 0 ? 0 : 1)
