// The part of core that depends on how the board's CLR computes (text, 64-bit arithmetic, wrap-around, shifts, base64), as tests
// that run on that CLR: on a board, or on the virtual device. The same file is compiled and run on the PC by
// tests/nanoframework/CoreChecksTests.cs, where every other test of core lives.
using System.Text;
using Agent.Board;
using Agent.Core;
using nanoFramework.TestFramework;

namespace Agent.CoreTests
{
    [TestClass]
    public class CoreChecks
    {
        /// <summary>Made with OpenSSL: tests/golden/sas-tokens.txt, row "primary".</summary>
        private const string Golden = "SharedAccessSignature sr=localhost%2Fdevices%2Fdevice-0001"
            + "&sig=qgZ%2FgKntuHV%2BsTDxZi1AQMiU%2FK1Uji5HtttB3gMMoi0%3D&se=1800000000";

        /// <summary>Computed in another language from the algorithm's description.</summary>
        private const uint MixedOfSeed42 = 1763202788u;

        [TestMethod]
        public void A_token_is_what_OpenSSL_makes_of_the_same_key()
        {
            byte[] key = Encoding.UTF8.GetBytes("0123456789abcdef0123456789abcdef");
            SasToken tokens = SasToken.ForDevice(new HmacSha256(), key, "localhost", "device-0001");
            Assert.AreEqual(Golden, tokens.Build(1800000000));
        }

        [TestMethod]
        public void A_key_that_is_not_base64_is_refused_without_an_exception()
        {
            byte[] key;
            Assert.IsFalse(SasToken.TryDecodeKey("*", out key));
            Assert.IsTrue(SasToken.TryDecodeKey("AAECAw==", out key));
            Assert.AreEqual(4, key.Length);
        }

        [TestMethod]
        public void Percent_encoding_covers_every_byte_of_UTF8()
        {
            Assert.AreEqual("a-b.c_d~%20%2F%2B%3D%C3%A4", PercentEncoder.Encode("a-b.c_d~ /+=\u00e4"));
        }

        [TestMethod]
        public void Random_numbers_are_the_same_on_every_machine()
        {
            SeededRandom random = new SeededRandom(42);
            uint mixed = 0;
            for (int i = 0; i < 1000; i++)
            {
                mixed = (mixed * 31) + random.NextBits();
            }

            Assert.AreEqual(MixedOfSeed42, mixed);
        }

        [TestMethod]
        public void A_renewal_is_planned_beyond_the_wrap_of_32_bit_milliseconds()
        {
            long created = 49L * 86400000;
            long at = Renewal.RenewAtMs(created, TokenSettings.Default(), 0);
            Assert.AreEqual(created + 3060000, at);
        }

        [TestMethod]
        public void A_bad_draft_says_every_problem()
        {
            TokenSettingsDraft draft = new TokenSettingsDraft();
            draft.LifetimeSeconds = 1;
            draft.KeepAliveSeconds = 100000;
            TokenSettings settings;
            string[] problems;
            Assert.IsFalse(draft.TryBuild(out settings, out problems));
            Assert.IsNull(settings);
            Assert.AreEqual(2, problems.Length);
        }

        [TestMethod]
        public void A_twin_is_read_and_what_is_wrong_in_another_is_named()
        {
            TwinReader reader = new TwinReader();
            TokenSettings defaults = TokenSettings.Default();
            byte[] good = Encoding.UTF8.GetBytes("{\"desired\":{\"agent\":{\"token\":{\"lifetimeSeconds\":7200.0,"
                + "\"renewMode\":\"prew\\u0061rm\"}},\"other\":[1e3,{\"x\":null}],\"$version\":4294967297},"
                + "\"reported\":{\"agent\":{\"ac\":200,\"av\":7}}}");
            Assert.IsTrue(reader.ReadTwin(good, 0, good.Length, defaults));
            Assert.AreEqual(4294967297L, reader.Version);
            Assert.AreEqual(7L, reader.AcknowledgedVersion);
            Assert.AreEqual(7200, reader.Settings.LifetimeSeconds);
            Assert.AreEqual((int)RenewMode.Prewarm, (int)reader.Settings.RenewMode);
            Assert.IsFalse(reader.ReadTwin(good, 0, good.Length - 1, defaults));

            byte[] bad = Encoding.UTF8.GetBytes("{\"desired\":{\"agent\":{\"keepAliveSeconds\":99999999999999999999},"
                + "\"$version\":2},\"reported\":{}}");
            Assert.IsTrue(reader.ReadTwin(bad, 0, bad.Length, defaults));
            Assert.IsNull(reader.Settings);
            Assert.IsTrue(reader.Problems.IndexOf("keepAliveSeconds") >= 0);
        }

        [TestMethod]
        public void Checksum_of_the_check_text_is_the_published_one()
        {
            byte[] text = Encoding.UTF8.GetBytes("123456789");
            Assert.AreEqual(unchecked((int)0xCBF43926), Crc32.Of(text, 0, text.Length));
        }

        [TestMethod]
        public void Records_survive_a_restart_and_a_torn_one_does_not_count()
        {
            RamStorage storage = new RamStorage(2, 128);
            RingLog log = new RingLog(storage, 8);
            byte[] payload = new byte[8];
            LittleEndian.Put64(payload, 0, -2);
            int number = log.Next;
            log.Append(payload);
            byte[] junk = { 1, 2, 3 };
            storage.Write(0, RingLog.HeaderSize + 8, junk, 0, 3);
            RingLog again = new RingLog(storage, 8);
            byte[] read = new byte[8];
            Assert.IsTrue(again.TryRead(number, read));
            Assert.AreEqual(-2L, LittleEndian.Get64(read, 0));
            Assert.IsFalse(again.TryRead(number + 1, read));
        }

        [TestMethod]
        public void A_session_connects_beats_and_renews()
        {
            TokenSettingsDraft draft = new TokenSettingsDraft();
            draft.SpreadPercent = 0;
            TokenSettings settings;
            string[] problems;
            draft.TryBuild(out settings, out problems);
            Session session = new Session(settings, new SeededRandom(1), 1);
            session.OnNetworkUp(new Now(0, 1800000000, true));
            Assert.AreEqual((int)OutputKind.Connect, Take(session));
            session.OnConnected(new Now(100, 1800000000, true), false);
            session.OnWake(new Now(100, 1800000000, true));
            Assert.AreEqual((int)OutputKind.SendHeartbeat, Take(session));
            session.OnHeartbeatAcknowledged(new Now(150, 1800000000, true), 1);
            Now due = new Now(3060000, 1800003060, true);
            session.OnWake(due);
            int order = Take(session);
            if (order == (int)OutputKind.SendHeartbeat)
            {
                session.OnHeartbeatAcknowledged(due, 2);
                session.OnWake(due);
                order = Take(session);
            }

            Assert.AreEqual((int)OutputKind.Disconnect, order);
            session.OnClosed(due);
            Assert.AreEqual((int)OutputKind.Connect, Take(session));
            session.OnConnected(new Now(3060200, 1800003060, true), true);
            Assert.AreEqual(1, session.Renewals);
            Assert.AreEqual(200L, session.LastGapMs);
        }

        private static int Take(Session session)
        {
            SessionOutput output;
            return session.TryTakeOutput(out output) ? (int)output.Kind : 0;
        }
    }
}
