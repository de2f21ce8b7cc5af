// What an app does with the client that is made of openapi.json. It is compiled,
// not run.
package app

import java.time.OffsetDateTime
import java.util.UUID
import loop.clarity.client.models.Deletion
import loop.clarity.client.models.Envelope
import loop.clarity.client.models.Problem
import loop.clarity.client.models.Rejection
import loop.clarity.client.models.Sample
import loop.clarity.client.models.Source
import loop.clarity.client.models.Week

val sample = Sample(
    uuid = UUID.fromString("0b9d1c8e-6a3f-4f0e-8c2d-1e2f3a4b5c6d"),
    type = "HKQuantityTypeIdentifierHeartRate",
    start = OffsetDateTime.parse("2026-11-20T06:58:01+01:00"),
    end = OffsetDateTime.parse("2026-11-20T06:58:01+01:00"),
    source = Source(bundleId = "com.apple.health", productType = "Watch7,5"),
    value = 61.0,
    unit = "count/min",
)

val envelope = Envelope(
    schema = Envelope.Schema.entries.first(),
    installationId = "laptop",
    timeZone = "Europe/Berlin",
    samples = listOf(sample),
    deleted = listOf(Deletion(uuid = sample.uuid, type = sample.type)),
)

// A metric has a name of its own, and may be null.
fun asleep(week: Week): Double? = week.result.sleep.totalSleepTimeMinutes

fun why(rejection: Rejection, problem: Problem): String = if (rejection.code == "a_code_of_next_year") problem.code else rejection.code
