// `bench-judgement [NAME...] [--releases N]`: the comparison of Perch's judging with its peers' rules, as markdown on
// standard output. Exit code 1: a goal was missed; 2: the arguments are wrong.

import Glibc
import JudgementBench

@Sendable func tell(_ line: String) {
    let line = line + "\n"
    line.withCString { _ = write(STDERR_FILENO, $0, strlen($0)) }
}

func fail(_ message: String) -> Never {
    tell("bench-judgement: \(message)")
    tell("hint: bench-judgement [NAME...] [--releases N]; names: \(Comparison.allNames.joined(separator: ", "))")
    exit(2)
}

var comparison = Comparison()
var arguments = CommandLine.arguments.dropFirst()
while let argument = arguments.popFirst() {
    if argument == "--releases" {
        guard let count = arguments.popFirst().flatMap({ Int($0) }), count > 0 else {
            fail("--releases needs a number above 0")
        }
        comparison.releases = count
    } else if Comparison.allNames.contains(argument) {
        comparison.names.insert(argument)
    } else {
        fail("there is no scenario \(argument)")
    }
}

let clock = ContinuousClock()
let began = clock.now
comparison.progress = { tell("\((clock.now - began).components.seconds) s: \($0)") }
print(Comparison.preface)
var missed: [String] = []
comparison.run { table in
    print("\n\(table.markdown)")
    fflush(nil)
    missed += table.missed
}
for line in missed { tell("GOAL MISSED: \(line)") }
tell("\((clock.now - began).components.seconds) s, \(missed.count) goals missed")
exit(missed.isEmpty ? 0 : 1)
