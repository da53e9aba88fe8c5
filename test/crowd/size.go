package main

import "time"

// size is how much happens. Rates are a second.
type size struct {
	oddOthers, oddRate int // users beside the odd one, and how often it asks
	oddLasting         time.Duration

	few, many int // users at once

	active, newRate int           // users who ask once a minute, and new ones
	activeLasting   time.Duration // by the fast clock

	slowRate    int // new users
	slowLasting time.Duration

	silentRate    int // new users
	silentLasting time.Duration

	instances, fleetRate, listRate int // new users and member lists of all instances
	fleetLasting                   time.Duration

	restartUsers, restartRate int
	restartLasting            time.Duration

	callers, callerRate, forgerRate int // known users, how often they ask, and forged tokens
	forgersLasting                  time.Duration
}

var full = size{
	oddOthers: 160, oddRate: 100, oddLasting: 8 * time.Second,
	few: 5000, many: 20_000,
	active: 15_000, newRate: 20, activeLasting: 2 * time.Minute,
	slowRate: 200, slowLasting: 8 * time.Second,
	silentRate: 20, silentLasting: 12 * time.Second,
	instances: 10, fleetRate: 20, listRate: 500, fleetLasting: 11 * time.Second,
	restartUsers: 3000, restartRate: 1000, restartLasting: 6 * time.Second,
	callers: 50, callerRate: 50, forgerRate: 300, forgersLasting: 6 * time.Second,
}

// count is how many come at a rate a second.
func count(perSecond int, lasting time.Duration) int {
	return int(float64(perSecond) * lasting.Seconds())
}
