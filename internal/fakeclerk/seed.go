package fakeclerk

// seed adds the accounts that every server starts with.
func (s *Server) seed() {
	for _, user := range []User{
		{
			ID: "user_ada", FirstName: "Ada", LastName: "Lovelace",
			// The primary address is the second one: code that takes the first is wrong.
			EmailAddresses: []EmailAddress{
				{ID: "idn_ada_work", EmailAddress: "ada.lovelace@example.org"},
				{ID: "idn_ada", EmailAddress: "ada@example.com"},
			},
			PrimaryEmailAddressID: "idn_ada",
		},
		{
			ID: "user_grace", FirstName: "Grace", LastName: "Hopper",
			EmailAddresses: []EmailAddress{{ID: "idn_grace", EmailAddress: "grace@example.com"}},
		},
		{ID: "user_noemail", Username: "noemail"},
		{
			ID: "user_banned", Banned: true,
			EmailAddresses: []EmailAddress{{ID: "idn_banned", EmailAddress: "banned@example.com"}},
		},
	} {
		if _, err := s.AddUser(user); err != nil {
			panic("fakeclerk: seed: " + err.Error())
		}
	}
	s.AddMachine(Machine{ID: "mch_inventory", Name: "inventory", SecretKey: "ak_fakeclerk_inventory"})
	s.AddMachine(Machine{
		ID: "mch_reports", Name: "reports", SecretKey: "ak_fakeclerk_reports", Scopes: []string{"mch_inventory"},
	})
	_, err := s.AddOrganization(Organization{ID: "org_analytical", Name: "Analytical", CreatedBy: "user_ada"})
	if err == nil {
		_, err = s.AddMembership("org_analytical", "user_grace", RoleMember)
	}
	if err != nil {
		panic("fakeclerk: seed: " + err.Error())
	}
}
