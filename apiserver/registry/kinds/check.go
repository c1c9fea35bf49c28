package kinds

import (
	"cmp"
	"math"
	"reflect"
	"slices"
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/internal/api"
)

// checks are the faults of everything.
var checks = newTable(podChecks, containerChecks, volumeChecks, schedulingChecks, workloadChecks, serviceChecks, endpointSliceChecks,
	endpointsChecks, namespaceChecks, nodeChecks, configMapChecks, secretChecks, eventChecks, csrChecks, leaseChecks, priorityClassChecks,
	appsChecks, batchChecks, hpaChecks, networkingChecks, rbacChecks, storageChecks, quotaChecks)

// validate makes Rules.Validate: the checks of what a write can touch, and what of an existing object must stay. Below what is forbidden, or
// too much, nothing is looked at. Faults come in the order of their paths: some were found by going through a map.
func validate[T api.Object](stays func(sub string, o, old T) field.ErrorList) func(string, api.Object, api.Object) field.ErrorList {
	return func(sub string, o, old api.Object) (faults field.ErrorList) {
		switch sub {
		case "":
			faults = checks.walk(nil, reflect.ValueOf(o))
		case "status":
			faults = checks.walk(field.NewPath("status"), reflect.ValueOf(o).Elem().FieldByName("Status"))
		}
		faults = outside(faults)
		if before, update := old.(T); update && stays != nil {
			faults = append(faults, stays(sub, o.(T), before)...)
		}
		slices.SortStableFunc(faults, func(a, b *field.Error) int {
			return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Error(), b.Error()))
		})
		return faults
	}
}

// outside leaves out the other faults of what should not be there at all, and those below it.
func outside(faults field.ErrorList) (rest field.ErrorList) {
	for _, f := range faults {
		hidden := slices.ContainsFunc(faults, func(ban *field.Error) bool {
			after, inside := strings.CutPrefix(f.Field+".", ban.Field)
			return inside && ban != f && strings.ContainsAny(after[:1], ".[") && (ban.Type == field.ErrorTypeForbidden || ban.Type == field.ErrorTypeTooMany)
		})
		if !hidden {
			rest = append(rest, f)
		}
	}
	return rest
}

// A check says what is wrong with one value. Those that follow are the vocabulary of the tables.
type check func(at *field.Path, v reflect.Value) field.ErrorList

// some makes a check of one that knows the value's type.
func some[V any](c func(at *field.Path, v V) field.ErrorList) check {
	return func(at *field.Path, v reflect.Value) field.ErrorList { return c(at, v.Interface().(V)) }
}

// text and number make checks of apimachinery's, which return sentences.
func text(c func(string) []string) check {
	return func(at *field.Path, v reflect.Value) field.ErrorList { return invalid(at, v.String(), c(v.String())) }
}

func number[N int | int64](c func(N) []string) check {
	return func(at *field.Path, v reflect.Value) field.ErrorList { return invalid(at, v.Int(), c(N(v.Int()))) }
}

func between(least, most int64, message string) check {
	return func(at *field.Path, v reflect.Value) field.ErrorList {
		return when(v.Int() < least || v.Int() > most, field.Invalid(at, v.Int(), message))
	}
}

// required is the check of what must be there and, if it is, pass the others.
func required(cs ...check) check { return unlessEmpty(field.Required, cs) }

// optional is the check of what need not be there.
func optional(c check) check { return unlessEmpty(nil, []check{c}) }

func unlessEmpty(fault func(*field.Path, string) *field.Error, cs []check) check {
	return func(at *field.Path, v reflect.Value) (faults field.ErrorList) {
		if v.IsZero() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0 {
			if fault == nil {
				return nil
			}
			return field.ErrorList{fault(at, "")}
		}
		for _, c := range cs {
			faults = append(faults, c(at, v)...)
		}
		return faults
	}
}

func every(c check) check {
	return func(at *field.Path, v reflect.Value) (faults field.ErrorList) {
		for i := range v.Len() {
			faults = append(faults, c(at.Index(i), v.Index(i))...)
		}
		return faults
	}
}

func atMost(n int) check {
	return func(at *field.Path, v reflect.Value) field.ErrorList {
		return when(v.Len() > n, field.TooMany(at, v.Len(), n))
	}
}

// distinct finds list elements with the key of an earlier one; the fault lies at the element, or at its field sub. Empty keys may be many.
func distinct[E any, K comparable](sub string, key func(E) K) check {
	return func(at *field.Path, v reflect.Value) (faults field.ErrorList) {
		var empty K
		seen := map[K]bool{empty: false}
		for i, e := range v.Interface().([]E) {
			k, p := key(e), at.Index(i)
			if sub != "" {
				p = p.Child(sub)
			}
			faults = append(faults, when(seen[k], field.Duplicate(p, k))...)
			seen[k] = k != empty
		}
		return faults
	}
}

func oneOf[T ~string](allowed ...T) check {
	return func(at *field.Path, v reflect.Value) field.ErrorList {
		switch word := T(v.String()); {
		case slices.Contains(allowed, word):
			return nil
		case word == "":
			return field.ErrorList{field.Required(at, "")}
		default:
			return field.ErrorList{field.NotSupported(at, word, allowed)}
		}
	}
}

// oneOfKnown is oneOf where no word at all is as wrong as another.
func oneOfKnown[T ~string](allowed ...T) check {
	return func(at *field.Path, v reflect.Value) field.ErrorList {
		return when(!slices.Contains(allowed, T(v.String())), field.NotSupported(at, T(v.String()), allowed))
	}
}

// union makes a rule about structs of pointers of which exactly one is to be set. With more, the one that is named here comes first.
func union[T any](what, first string) rule {
	return each(func(at *field.Path, x *T) (faults field.ErrorList) {
		set := choices(x)
		if len(set) == 0 {
			return field.ErrorList{field.Required(at, "must specify a "+what+" type")}
		}
		if i := slices.Index(set, first); i > 0 {
			set[0], set[i] = set[i], set[0]
		}
		for _, more := range set[1:] {
			faults = append(faults, field.Forbidden(at.Child(more), "may not specify more than 1 "+what+" type"))
		}
		return faults
	})
}

// missing makes a rule about a T as a whole: bad says that what should lie at a path of JSON names in it does not.
func missing[T any](path, message string, bad func(x *T) bool) rule {
	return each(func(at *field.Path, x *T) field.ErrorList {
		return when(bad(x), field.Required(below(at, path), message))
	})
}

// forbidden is such a rule about what should not be there.
func forbidden[T any](path, message string, bad func(x *T) bool) rule {
	return each(func(at *field.Path, x *T) field.ErrorList {
		return when(bad(x), field.Forbidden(below(at, path), message))
	})
}

// wrong is such a rule about a value that does not go with another; bad also says what it is.
func wrong[T any](path, message string, bad func(x *T) (value any, is bool)) rule {
	return each(func(at *field.Path, x *T) field.ErrorList {
		value, is := bad(x)
		return when(is, field.Invalid(below(at, path), value, message))
	})
}

func below(at *field.Path, path string) *field.Path {
	for name := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '.' }) {
		at = at.Child(name)
	}
	return at
}

// choices says which pointers of a struct are set, by their JSON names.
func choices(x any) (set []string) {
	v := reflect.ValueOf(x).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Pointer && !f.IsNil() {
			set = append(set, jsonName(v.Type().Field(i)))
		}
	}
	return set
}

func when(bad bool, fault *field.Error) field.ErrorList {
	if !bad {
		return nil
	}
	return field.ErrorList{fault}
}

// invalid makes a fault of each sentence that a check of apimachinery returned.
func invalid(at *field.Path, value any, messages []string) (faults field.ErrorList) {
	for _, m := range messages {
		faults = append(faults, field.Invalid(at, value, m))
	}
	return faults
}

func immutable(at *field.Path, now, before any) field.ErrorList {
	return apivalidation.ValidateImmutableField(now, before, at)
}

// Forms that many fields share.
var (
	subdomain = text(validation.IsDNS1123Subdomain)
	label     = text(validation.IsDNS1123Label)
	qualified = text(validation.IsQualifiedName)
	labelKey  = some(func(at *field.Path, key string) field.ErrorList { return metavalidation.ValidateLabelName(key, at) })
	labelSet  = some(func(at *field.Path, set map[string]string) field.ErrorList {
		return metavalidation.ValidateLabels(set, at)
	})
	notNegative = between(0, math.MaxInt64, apivalidation.IsNegativeErrorMsg)
	positive    = between(1, math.MaxInt64, "must be greater than 0")
	port        = number(validation.IsValidPortNum)
	userID      = number(validation.IsValidUserID)
	// Kubernetes took sloppy forms (010.0.0.1) into these fields for years, and must go on to; new ones are refused.
	ip = some(func(at *field.Path, s string) field.ErrorList {
		return validation.IsValidIPForLegacyField(at, s, true, nil)
	})
	cidr = some(func(at *field.Path, s string) field.ErrorList {
		return validation.IsValidCIDRForLegacyField(at, strings.TrimSpace(s), true, nil)
	})
	inside = some(func(at *field.Path, path string) field.ErrorList {
		return append(when(strings.HasPrefix(path, "/"), field.Invalid(at, path, "must be a relative path")), noBackSteps(at, path)...)
	})
	// portRef is a port by number, or by the name that a container gave it.
	portRef = some(func(at *field.Path, ref intstr.IntOrString) field.ErrorList {
		if ref.Type == intstr.String {
			return invalid(at, ref.StrVal, validation.IsValidPortName(ref.StrVal))
		}
		return invalid(at, ref.IntVal, validation.IsValidPortNum(int(ref.IntVal)))
	})
	labelSelector = each(func(at *field.Path, s *metav1.LabelSelector) field.ErrorList {
		return metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, at)
	})
)

func noBackSteps(at *field.Path, path string) field.ErrorList {
	return when(slices.Contains(strings.Split(path, "/"), ".."), field.Invalid(at, path, "must not contain '..'"))
}
