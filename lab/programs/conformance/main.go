// The specs of Kubernetes' own storage suite for the driver named with -storage.testdriver, as a plain program.
//
// What e2e.test has beside them is left out: it would take twice as long to build.
package main

import (
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"k8s.io/kubernetes/test/e2e/framework"
	"k8s.io/kubernetes/test/e2e/framework/config"
	"k8s.io/kubernetes/test/e2e/framework/testfiles"
	testingmanifests "k8s.io/kubernetes/test/e2e/testing-manifests"

	_ "k8s.io/kubernetes/test/e2e"
	_ "k8s.io/kubernetes/test/e2e/feature"
	_ "k8s.io/kubernetes/test/e2e/framework/debug/init"
	_ "k8s.io/kubernetes/test/e2e/framework/metrics/init"
	_ "k8s.io/kubernetes/test/e2e/framework/node/init"
	_ "k8s.io/kubernetes/test/e2e/storage/external"
	_ "k8s.io/kubernetes/test/utils/ktesting/format"
)

const name = "Kubernetes storage suite"

var (
	only   = flag.String("lab.spec", "", "full text of the only spec to run")
	result = flag.String("lab.result", "", "file for what came of that spec, as JSON")
)

// The exit status says what Ginkgo tells it.
type runner struct{}

func (runner) Fail() {}

func main() {
	config.CopyFlags(config.Flags, flag.CommandLine)
	framework.RegisterCommonFlags(flag.CommandLine)
	framework.RegisterClusterFlags(flag.CommandLine)
	flag.Parse()
	testfiles.AddFileSource(testingmanifests.GetE2ETestingManifestsFS())
	framework.AfterReadingAllFlags(&framework.TestContext)
	gomega.RegisterFailHandler(framework.Fail)
	suite, reporter := framework.CreateGinkgoConfig()
	if *only != "" {
		suite.FocusStrings = []string{"^" + regexp.QuoteMeta(name+" "+*only) + "$"}
		suite.SkipStrings = nil
		ginkgo.ReportAfterEach(write)
	}
	if !ginkgo.RunSpecs(runner{}, name, suite, reporter) {
		os.Exit(1)
	}
}

// Write what came of the spec; this is also called for all others, which were not run.
func write(spec ginkgo.SpecReport) {
	if *result == "" || spec.FullText() != *only {
		return
	}
	text, err := json.Marshal(map[string]any{
		"spec":    spec.FullText(),
		"state":   spec.State.String(),
		"message": spec.Failure.Message,
		"where":   spec.Failure.Location.String(),
		"started": spec.StartTime.UTC().Format(time.RFC3339),
		"seconds": spec.RunTime.Seconds(),
	})
	if err == nil {
		// Whole or not at all: a result that is there is not asked for again.
		err = os.WriteFile(*result+".part", text, 0o644)
	}
	if err == nil {
		err = os.Rename(*result+".part", *result)
	}
	if err != nil {
		panic(err)
	}
}
