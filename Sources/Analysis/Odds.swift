// Probabilities as odds, and products of many factors as sums of logarithms. Pure.

import Glibc

/// ln(p / (1 - p)) of a probability in (0, 1).
func logit(_ probability: Double) -> Double { log(probability) - log1p(-probability) }

/// The probability whose ``logit(_:)`` this is.
func expit(_ logOdds: Double) -> Double { 1 / (1 + exp(-logOdds)) }

/// ln(factor^count), from ln(factor). No event is no change, also where the factor is 0.
func power(_ logFactor: Double, _ count: UInt64) -> Double { count == 0 ? 0 : Double(count) * logFactor }
