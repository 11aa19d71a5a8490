// Goal: releases end as they should, and nobody but the canary's users notices. Method: real PostgreSQL, real perchd and
// perch, real router, real processes from real commits, customers with a ledger. One system a test, one after the other.

import SystemSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(3))) enum EndToEnd {}
